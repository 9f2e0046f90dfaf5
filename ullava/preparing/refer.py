"""Checks REFER's originals and copies them to where the catalogue looks for them.

Pickles are written anew, of plain data and with the keys that readers want, so that nobody has to trust them again.
"""

import pickle
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ullava.configs.load import data_root
from ullava.configs.registry import listing
from ullava.datasets.readers import coco
from ullava.datasets.readers.files import inside
from ullava.datasets.readers.regions.refer import unpickle
from ullava.datasets.tables import read_object
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress, write_tree

KEYS = ("ref_id", "ann_id", "category_id", "image_id", "file_name", "split", "sent_ids", "sentences")
PUBLISHED = {  # (set, by whom) -> references, as github.com/lichengunc/refer counts them
    ("refclef", "unc"): 20022, ("refcoco", "unc"): 50000, ("refcoco+", "unc"): 49856, ("refcocog", "umd"): 49822,
    ("refcoco", "google"): 50000, ("refcocog", "google"): 49822,
}  # fmt: skip


@PREPARATIONS.register("refer")
class Refer(Kind):
    """Checks RefCOCO, RefCOCO+, RefCOCOg or RefCLEF as REFER publishes it, and brings it into place."""

    reads = "a folder that holds refs(*).p and instances.json, as unpacked from github.com/lichengunc/refer"
    writes = "refer_seg/<folder's name>/{refs(*).p, instances.json} under the data root, and a link to the pictures"

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, nargs="+", help="folders, e.g. refer/data/refcoco refer/data/refcoco+")
        parser.add_argument("--images", type=Path, required=True, help="train2014 of MS COCO; for refclef saiapr_tc-12")
        parser.add_argument("--output", type=Path, help="default: refer_seg under the data root")

    def prepare(self, options: Namespace) -> str:
        output = options.output or data_root() / "refer_seg"
        lines = []
        for source in options.source:
            lines += bring(source, options.images, output)
            images = output / "images" / home(source.name)
            if not images.is_symlink() and not images.exists():
                images.parent.mkdir(parents=True, exist_ok=True)
                images.symlink_to(options.images.resolve(), target_is_directory=True)
        return "\n".join(lines)


def home(name: str) -> str:
    """Where below images/ LISA's tree has a set's pictures."""
    return "saiapr_tc-12" if name == "refclef" else "mscoco/images/train2014"


def bring(source: Path, images: Path, output: Path) -> Iterator[str]:
    """Checks one set, writes it, and yields a line of counts for each file.

    Raises:
        FileNotFoundError: `source` lacks its files.
        ValueError: references, objects or pictures are wrong; names the first of them, and how many there are.
    """
    pickles = sorted(source.glob("refs(*).p"))
    if not pickles:
        raise FileNotFoundError(f"{source}: expected refs(unc).p or the like, found none; unpack REFER's archive there")
    tree = read_object(source / "instances.json", "images", "annotations", "categories")
    refs_by_file = {path: unpickle(path) for path in pickles}
    for path, refs in refs_by_file.items():
        check(path, refs, tree, images)
    with fresh(output / source.name) as scratch:
        scratch.mkdir()
        write_tree(scratch / "instances.json", tree)
        for path, refs in refs_by_file.items():
            plain = [{key: ref[key] for key in KEYS if key in ref} for ref in refs]
            (scratch / path.name).write_bytes(pickle.dumps(plain, protocol=2))
    for path, refs in refs_by_file.items():
        yield f"{output / source.name / path.name}: {count(source.name, path, refs)}"


def check(path: Path, refs: Sequence[Mapping[str, Any]], tree: dict[str, Any], images: Path) -> None:
    """Looks at each reference, its object, and its picture.

    Raises:
        ValueError: what is wrong.
    """
    objects = {stated["id"]: stated for stated in tree["annotations"]}
    names = {category["id"]: category["name"] for category in tree["categories"]}
    pictures = coco.pictures(tree)
    faults = []
    for ref in progress(refs, f"checking {path.name}", unit="reference"):
        where = f"reference {ref.get('ref_id')}"
        try:
            faults += wrong(ref, objects, names, pictures, images, where)
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"{where}: {type(error).__name__}: {error}")
    if faults:
        raise ValueError(listing(f"{path}: {len(faults)} of {len(refs)} references cannot be used", faults))


def wrong(
    ref: Mapping, objects: Mapping, names: dict[int, str], pictures: Mapping, images: Path, where: str
) -> Iterator[str]:
    """Yields the faults of one reference."""
    stated, picture = objects.get(ref["ann_id"]), pictures.get(ref["image_id"])
    if stated is None or picture is None:
        yield f"{where}: instances.json has no object {ref['ann_id']} or no picture {ref['image_id']}"
        return
    if not ref["sentences"] or not all(sentence["sent"].strip() for sentence in ref["sentences"]):
        yield f"{where}: no sentence, or one without a word"
    if not inside(images, picture["file"], where).is_file():
        yield f"{where}: {images / picture['file']}: no such picture"
    region = coco.region(coco.thing(stated, names), tuple(picture["size"]), where)
    if region.mask is None or not region.mask.draw().any():
        yield f"{where}: the mask of object {ref['ann_id']} covers no pixel"


def count(name: str, path: Path, refs: Sequence[Mapping[str, Any]]) -> str:
    """References by split, pictures and sentences, and whether that is the published number."""
    splits = ", ".join(f"{split} {number}" for split, number in sorted(Counter(ref["split"] for ref in refs).items()))
    pictures, sentences = len({ref["image_id"] for ref in refs}), sum(len(ref["sentences"]) for ref in refs)
    published = PUBLISHED.get((name, path.stem.removeprefix("refs(").removesuffix(")")))
    known = f"; {published} are published" if published and published != len(refs) else ""
    return f"{len(refs)} references ({splits}), {pictures} pictures, {sentences} sentences{known}"
