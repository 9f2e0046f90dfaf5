"""Own data, drawn with LabelMe or CVAT or exported for COCO or YOLO, or masks: ready to be trained on and asked about.

Each program's files become the same few (own_data/files.py), a catalogue entry that says which task takes which, and a
recipe: train.yaml, eval.yaml, and the commands that run them.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ullava.configs.arguments import WHOLE
from ullava.configs.load import data_root
from ullava.configs.registry import listing
from ullava.datasets import boxes
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress
from ullava.preparing.own_data.catalogue import entries, usual_part
from ullava.preparing.own_data.coco import read_coco
from ullava.preparing.own_data.counts import count_table
from ullava.preparing.own_data.cvat import read_cvat
from ullava.preparing.own_data.files import write
from ullava.preparing.own_data.labelme import read_labelme
from ullava.preparing.own_data.masks import read_masks
from ullava.preparing.own_data.material import choose_material
from ullava.preparing.own_data.pages import Page, Split, drawn
from ullava.preparing.own_data.recipes import Recipe, dump, write_recipe
from ullava.preparing.own_data.yolo import read_yolo

Reader = Callable[[Path, Path | None, str], Iterator[Split]]
PROGRAMS: dict[str, Reader] = {
    "labelme": read_labelme, "cvat": read_cvat, "coco": read_coco, "yolo": read_yolo, "masks": read_masks,
}  # fmt: skip


@PREPARATIONS.register("own")
class Own(Kind):
    """Makes a dataset of pictures that you annotated yourself, and the recipe that trains on it."""

    reads = (
        "labelme: a folder of JSON files; cvat: an XML file (CVAT for images 1.1); coco: a JSON file of objects; "
        "yolo: data.yaml, or a folder with images/, labels/ and classes.txt; masks: a folder with images/ and masks/, "
        "files of the same names, masks/CLASS/ for a class each"
    )
    writes = (
        "objects.json, classes.json, phrases.json (where there are any), catalogue.yaml, which names them, and "
        "train.yaml and eval.yaml, ready to run"
    )

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="how the dataset shall be called in a YAML")
        parser.add_argument("source", type=Path, help="the annotations")
        parser.add_argument("--from", dest="program", choices=PROGRAMS, required=True)
        parser.add_argument("--images", type=Path, help="folder of the pictures; default: where the annotations lie")
        parser.add_argument(
            "--phrase", default="description", help="attribute that says which one it is; default: %(default)s"
        )
        parser.add_argument("--label", help="with --from masks: what masks in no folder of a class show; default: NAME")
        parser.add_argument(
            "--held-out", type=WHOLE, metavar="N",
            help="every N-th picture goes to NAME_val, the others to NAME_train; 0: none; default: a few of 10 or more",
        )  # fmt: skip
        parser.add_argument("--model", help="what the recipe goes on from: a run, or opened published weights")
        parser.add_argument("--output", type=Path, help="folder to write; default: NAME under the data root")

    def prepare(self, options: Namespace) -> str:
        output = options.output or data_root() / options.name
        catalogue, splits, lines = {}, [], []
        wording = options.label or options.name.replace("_", " ") if options.program == "masks" else options.phrase
        with fresh(output) as scratch:
            scratch.mkdir()
            for split in PROGRAMS[options.program](options.source, options.images, wording):
                name = "_".join(filter(None, (options.name, split.name)))
                pages = checked(split)
                every = options.held_out
                if every is None and not split.name:
                    every = usual_part(split.images, pages)
                files = write(scratch, split.name, pages)
                split_entries = entries(name, output, files, split.images, every)
                catalogue |= split_entries
                splits.append((split, pages, split_entries))
                lines += count_table(name, pages, files, split.left_out)
            (scratch / "catalogue.yaml").write_text(dump(catalogue), encoding="utf-8")
            material = choose_material(options.name, splits)
            recipe = write_recipe(material, output, options.model) if material else None
            if recipe:
                (scratch / "train.yaml").write_text(recipe.train, encoding="utf-8")
                (scratch / "eval.yaml").write_text(recipe.evaluate, encoding="utf-8")
        return "\n".join([*lines, f"wrote {output}", *ending(recipe, output, list(catalogue))])


def ending(recipe: Recipe | None, output: Path, names: Sequence[str]) -> list[str]:
    """Returns the lines that tell the user the next commands."""
    if recipe is None:
        following = ["no recipe: nothing can be asked for; give objects a mask, or phrases that say which one is meant"]
    else:
        following = ["next:", *(f"  {command}" for command in recipe.commands)]
    known = f"ULLAVA_CATALOGUE={output / 'catalogue.yaml'} makes {', '.join(names)} known to every other YAML"
    return [*following, known]


def checked(split: Split) -> list[Page]:
    """The pages of a split.

    Raises:
        ValueError: objects that lie outside, or cover nothing; names the first of them, and how many there are.
    """
    pages, faults = list(progress(split.pages, split.name or "reading", unit="picture")), []
    for page in pages:
        for number, instance in enumerate(page.instances):
            x0, y0, x1, y1 = boxes.clip(instance.box, page.size)
            if x1 <= x0 or y1 <= y0:
                faults.append(f"{page.file}: object {number} ({instance.label}) lies outside of the picture")
            elif instance.segmentation and not drawn(instance, page).any():
                faults.append(f"{page.file}: object {number} ({instance.label}) covers no pixel")
    if faults:
        raise ValueError(listing(f"{len(faults)} objects cannot be used; mend or delete them", faults))
    if not any(page.instances for page in pages):
        raise ValueError(f"{split.images}: no objects; expected one at least")
    return pages
