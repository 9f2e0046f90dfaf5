"""The catalogue entries of own data: which task reads which file, and which pictures are held out."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ullava.configs.load import data_root
from ullava.preparing.own_data.pages import Page

ENOUGH = 10  # pictures from which on some are held out unasked
USUAL = (5, 7, 3)  # every n-th file of a folder; odd, so that pictures come up where a JSON lies beside each
Entry = dict[str, Any]


def entries(name: str, folder: Path, files: Mapping[str, str], images: Path, every: int | None) -> dict[str, Entry]:
    """The catalogue entries of a split: all of it, and where some of its pictures are held out, both parts.

    Args:
        folder: where the files will lie.
        files: their names, by what they hold.
        every: the n of the n-th picture that is held out; None: no picture is.
    """
    paths = {kind: portable(folder / file) for kind, file in files.items()}
    if "phrases" in files:
        asked = {"reader": "ullava_referring", "annotations": paths["phrases"]}
    else:  # a class that is there once can be asked for by its name
        asked = {"reader": "coco_instances", "annotations": paths["objects"], "unique_categories": True}
    tasks: dict[str, Entry] = {"rec": asked}
    if "masked" in files:
        tasks["res"] = {"reader": "ullava_referring", "annotations": paths["masked"]}
    elif "classes" in files:
        tasks["res"] = asked
    if "classes" in files:
        tasks["semantic"] = {"reader": "ullava_parts", "annotations": paths["classes"]}
    entry = {"images": portable(images), "by_task": tasks}
    if not every:
        return {name: entry}
    parts = {f"{name}_train": "train", f"{name}_val": "held_out"}
    return {name: entry} | {part: entry | {"every": every, "part": which} for part, which in parts.items()}


def held_out(images: Path, pages: Sequence[Page], every: int) -> set[str]:
    """Files of the pictures that `every` holds out, by the rule of datasets/splits.py."""
    shown = {images / page.file: page.file for page in pages if page.instances}
    chosen = set()
    for folder in {path.parent for path in shown}:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        chosen |= {shown[path] for path in files[every - 1 :: every] if path in shown}
    return chosen


def usual_part(images: Path, pages: Sequence[Page]) -> int | None:
    """The n of the n-th file that is held out unasked; None where there are too few pictures."""
    count = sum(bool(page.instances) for page in pages)
    if count < ENOUGH:
        return None
    return next((every for every in USUAL if 0 < len(held_out(images, pages, every)) <= count // 3), None)


def portable(path: Path) -> str:
    """A path as the catalogue takes it: below the data root from there, any other whole."""
    root, whole = os.path.abspath(data_root()), os.path.abspath(path)
    return os.path.relpath(whole, root) if Path(whole).is_relative_to(root) else whole
