"""Own data, drawn with LabelMe or CVAT or exported for COCO or YOLO: what our readers read, and a catalogue entry.

Each program's files become the same three: objects.json (MS COCO's form), classes.json (all of a class in one mask, in
u-LLaVA's form), and where phrases are given, phrases.json (u-LLaVA's form). The entry says which task takes which.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ullava.configs.legacy import Spelt
from ullava.configs.load import data_root
from ullava.configs.registry import listing
from ullava.datasets import boxes, masks
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress, write_records, write_tree
from ullava.preparing.own_coco import read_coco
from ullava.preparing.own_cvat import read_cvat
from ullava.preparing.own_labelme import read_labelme
from ullava.preparing.own_pages import Page, Split
from ullava.preparing.own_yolo import read_yolo

PROGRAMS = {"labelme": read_labelme, "cvat": read_cvat, "coco": read_coco, "yolo": read_yolo}


@PREPARATIONS.register("own")
class Own(Kind):
    """Makes a dataset of pictures that you annotated yourself."""

    reads = (
        "labelme: a folder of JSON files; cvat: an XML file (CVAT for images 1.1); coco: a JSON file of objects; "
        "yolo: data.yaml, or a folder with images/, labels/ and classes.txt"
    )
    writes = "objects.json, classes.json, phrases.json (where there are any), and catalogue.yaml, which names them"

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="how the dataset shall be called in a YAML")
        parser.add_argument("source", type=Path, help="the annotations")
        parser.add_argument("--from", dest="program", choices=PROGRAMS, required=True)
        parser.add_argument("--images", type=Path, help="folder of the pictures; default: where the annotations lie")
        parser.add_argument(
            "--phrase", default="description", help="attribute that says which one it is; default: %(default)s"
        )
        parser.add_argument("--held-out", type=int, metavar="N", help="every N-th picture goes to NAME_val")
        parser.add_argument("--output", type=Path, help="folder to write; default: NAME under the data root")

    def prepare(self, options: Namespace) -> str:
        output = options.output or data_root() / options.name
        catalogue, lines = {}, []
        with fresh(output) as scratch:
            scratch.mkdir()
            for split in PROGRAMS[options.program](options.source, options.images, options.phrase):
                name = "_".join(filter(None, (options.name, split.name)))
                pages = checked(split)
                files = write(scratch, split.name, pages)
                catalogue |= entries(name, output, files, split.images, options.held_out)
                lines.append(f"{name}: {len(pages)} pictures, {sum(len(page.instances) for page in pages)} objects")
            text = yaml.dump(catalogue, Dumper=Spelt, sort_keys=False, default_flow_style=None, width=120)
            (scratch / "catalogue.yaml").write_text(text, encoding="utf-8")
        known = f"ULLAVA_CATALOGUE={output / 'catalogue.yaml'} makes {', '.join(catalogue)} known to every command"
        return "\n".join([*lines, f"wrote {output}; {known}"])


def checked(split: Split) -> list[Page]:
    """The pages of a split.

    Raises:
        ValueError: objects that lie outside, or cover nothing; names the first of them, and how many there are.
    """
    pages, faults = list(progress(split.pages, split.name or "reading", unit="picture")), []
    for page in pages:
        for number, thing in enumerate(page.instances):
            x0, y0, x1, y1 = boxes.clip(thing.box, page.size)
            if x1 <= x0 or y1 <= y0:
                faults.append(f"{page.file}: object {number} ({thing.label}) lies outside of the picture")
            elif thing.segmentation and not drawn(thing, page).any():
                faults.append(f"{page.file}: object {number} ({thing.label}) covers no pixel")
    if faults:
        raise ValueError(listing(f"{len(faults)} objects cannot be used; mend or delete them", faults))
    if not any(page.instances for page in pages):
        raise ValueError(f"{split.images}: no objects; expected one at least")
    return pages


def drawn(thing: Any, page: Page) -> np.ndarray:
    """The mask of a thing, (H, W) bool."""
    return masks.from_coco(thing.segmentation, page.size).draw()


def write(folder: Path, split: str, pages: list[Page]) -> dict[str, str]:
    """Writes a split's files; returns their names by what they hold."""
    masked = all(thing.segmentation for page in pages for thing in page.instances)
    said = any(thing.phrases for page in pages for thing in page.instances)
    kinds = ["objects"] + ["classes"] * masked + ["phrases"] * said
    files = {kind: "_".join(filter(None, (kind, split))) + ".json" for kind in kinds}
    write_tree(folder / files["objects"], coco_tree(pages))
    if masked:
        write_records(folder / files["classes"], map(classes, filter(things_of, pages)))
    if said:
        write_records(folder / files["phrases"], phrases(pages))
    return files


def things_of(page: Page) -> tuple:
    """What lies in a picture."""
    return page.instances


def coco_tree(pages: Iterable[Page]) -> dict[str, list[dict]]:
    """All objects in MS COCO's form."""
    tree: dict[str, list[dict]] = {"images": [], "annotations": [], "categories": []}
    numbers: dict[str, int] = {}
    for image, page in enumerate(pages, 1):
        height, width = page.size
        tree["images"].append({"id": image, "file_name": page.file, "height": height, "width": width})
        for thing in page.instances:
            area = int(drawn(thing, page).sum()) if thing.segmentation else boxes.area(thing.box)
            tree["annotations"].append({
                "id": len(tree["annotations"]) + 1, "image_id": image,
                "category_id": numbers.setdefault(thing.label, len(numbers) + 1), "iscrowd": 0, "area": area,
                "bbox": list(boxes.to_xywh(thing.box)), "segmentation": thing.segmentation,
            })  # fmt: skip
    tree["categories"] = [{"id": number, "name": name} for name, number in numbers.items()]
    return tree


def classes(page: Page) -> dict[str, Any]:
    """Everything of one class in one mask: who asks for a class means all of it."""
    height, width = page.size
    covered: dict[str, np.ndarray] = {}
    for thing in page.instances:
        covered[thing.label] = covered.get(thing.label, False) | drawn(thing, page)
    size = {"height": height, "width": width}
    stated = [
        {"segmentation": masks.encode(mask), "bbox": list(boxes.to_xywh(boxes.box_of(mask))), **size}
        for mask in covered.values()
    ]
    return {"image_path": page.file, "classes": list(covered), "annotations": stated}


def phrases(pages: Iterable[Page]) -> Iterator[dict[str, Any]]:
    """Yields what is said of single objects."""
    for page in pages:
        height, width = page.size
        for thing in page.instances:
            if thing.phrases:
                yield {
                    "image_path": page.file, "height": height, "width": width, "category": thing.label,
                    "bbox": list(boxes.to_xywh(thing.box)), "segmentation": thing.segmentation,
                    "sentences": list(thing.phrases),
                }  # fmt: skip


def entries(name: str, folder: Path, files: dict[str, str], images: Path, held_out: int | None) -> dict[str, Any]:
    """The catalogue entries of a split; of two where some of its pictures are held out."""
    place = {kind: portable(folder / file) for kind, file in files.items()}
    if "phrases" in files:
        asked = {"reader": "ullava_referring", "annotations": place["phrases"]}
    else:  # a class that is there once can be asked for by its name
        asked = {"reader": "coco_instances", "annotations": place["objects"], "unique_categories": True}
    tasks = {"rec": asked}
    if "classes" in files:
        tasks |= {"res": asked, "semantic": {"reader": "ullava_parts", "annotations": place["classes"]}}
    entry = {"images": portable(images), "by_task": tasks}
    if not held_out:
        return {name: entry}
    parts = {f"{name}_train": "train", f"{name}_val": "held_out"}
    return {part: entry | {"every": held_out, "part": which} for part, which in parts.items()}


def portable(path: Path) -> str:
    """A path as the catalogue takes it: below the data root from there, any other whole."""
    root, whole = os.path.abspath(data_root()), os.path.abspath(path)
    return os.path.relpath(whole, root) if Path(whole).is_relative_to(root) else whole
