"""PASCAL-Part's MATLAB files as MS COCO's JSON, one category "object:part" each (arXiv:1406.2031).

Names and their choice are those of the JSON that u-LLaVA, LISA and LaSagnA read, made after VLPart
(arXiv:2305.11173): left and right, front and back, and numbers are left out; what is in no list is not annotated.
Boxes are the masks' own; VLPart's lack their last row and column.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets import boxes, masks
from ullava.datasets.catalogue import VOCABULARIES
from ullava.datasets.formats.mat_files import read_objects
from ullava.datasets.readers.regions.pascal_part import by_object, category_of
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress, write_tree

CLASSES = VOCABULARIES / "pascal_part.txt"
CATEGORIES = CLASSES.read_text(encoding="utf-8").splitlines()


@PREPARATIONS.register("pascal_part")
class PascalPart(Kind):
    """Turns PASCAL-Part's MATLAB files into JSON."""

    reads = "Annotations_Part/*.mat (roozbehm.info/pascal-parts) and a list of PASCAL VOC 2010's ImageSets"
    writes = "one file of MS COCO's JSON: 93 categories `object:part`, masks as run lengths"

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument("annotations", type=Path, help="the folder Annotations_Part")
        parser.add_argument("--listed", type=Path, help="VOC2010/ImageSets/Main/train.txt; without: all files")
        parser.add_argument("--output", type=Path, required=True, help="e.g. vlpart/pascal_part/train.json")

    def prepare(self, options: Namespace) -> str:
        files = chosen(options.annotations, options.listed)
        tree = {"images": [], "annotations": [], "categories": []}
        tree["categories"] = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES, 1)]
        with fresh(options.output) as scratch:
            for path in progress(files, "reading", unit="file"):
                add(tree, path)
            write_tree(scratch, tree)
        return f"wrote {options.output}: {len(tree['annotations'])} parts in {len(tree['images'])} pictures"


def chosen(folder: Path, listed: Path | None) -> list[Path]:
    """The files to read.

    Raises:
        FileNotFoundError: there are none, or one of the list is missing.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.mat"))}
    if not files:
        raise FileNotFoundError(f"{folder}: expected PASCAL-Part's files (*.mat), found none")
    if listed is None:
        return list(files.values())
    stems = [line.split()[0] for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    if lost := [stem for stem in stems if stem not in files]:
        raise FileNotFoundError(f"{folder}: lacks {len(lost)} of {len(stems)} files of {listed}, e.g. {lost[0]}.mat")
    return [files[stem] for stem in stems]


def add(tree: dict[str, list], path: Path) -> None:
    """Adds a picture and its parts, if it has any."""
    parts = list(parts_of(path))
    if not parts:
        return
    image = len(tree["images"]) + 1
    height, width = parts[0][1].shape
    tree["images"].append({"id": image, "file_name": f"{path.stem}.jpg", "height": height, "width": width})
    for category, mask in parts:
        masks.check_size(mask, (height, width), str(path))
        tree["annotations"].append(annotation(mask) | {
            "id": len(tree["annotations"]) + 1, "image_id": image, "category_id": CATEGORIES.index(category) + 1,
        })  # fmt: skip


def annotation(mask: np.ndarray) -> dict[str, Any]:
    """A mask, (H, W) bool, as COCO's JSON states it; it covers a pixel at least."""
    box = boxes.box_of(mask)
    assert box is not None  # `parts_of` yields no empty mask
    return {"segmentation": masks.encode(mask), "bbox": list(boxes.to_xywh(box)), "area": int(mask.sum()), "iscrowd": 0}


def parts_of(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (category, (H, W) bool) of each part that has a category and covers a pixel.

    Raises:
        ValueError: not one of PASCAL-Part's files.
    """
    names = by_object(CLASSES)
    for kind, _, parts in read_objects(path):
        for code, mask in parts:
            if (category := category_of(kind, code, names)) and mask.any():
                yield category, mask
