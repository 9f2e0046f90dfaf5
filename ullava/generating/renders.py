"""Renders of 3D models, whose shape a ControlNet keeps: mug_handle_left.png, and mug_handle_left_mask.png beside it.

The mask of a render is also the mask of every picture that is painted over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MASK = "_mask"
Pair = tuple[str, str]  # part, object


@dataclass(frozen=True, slots=True)
class Render:
    """One view of an object.

    Attributes:
        view: its name, "left".
        picture: what the ControlNet looks at.
        mask: the part in that view, white on black; None where no file shows it.
    """

    view: str
    picture: Path
    mask: Path | None


def folder_of(name: str) -> str:
    """A name as files are called."""
    return name.replace(" ", "_")


def find_renders(folder: Path, pairs: Sequence[Pair]) -> dict[Pair, list[Render]]:
    """The renders of each part of each object, sorted.

    Raises:
        FileNotFoundError: no such folder, or a pair has none.
        ValueError: a picture is called after no pair, or a mask after no picture.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"control.renders: {folder}: no such folder")
    files = {path.stem: path for path in sorted(folder.glob("*.png")) if not path.name.startswith(".")}
    renders: dict[Pair, list[Render]] = {pair: [] for pair in pairs}
    for stem, path in files.items():
        if stem.endswith(MASK):
            if stem.removesuffix(MASK) not in files:
                raise ValueError(f"{path}: a mask without its render; lay that beside it, or take the mask out")
            continue
        pair = max((pair for pair in pairs if stem.startswith(prefix(pair))), key=lambda pair: len(prefix(pair)),
                   default=None)  # fmt: skip
        if pair is None:
            raise ValueError(f"{path}: expected <object>_<part>_<view>.png, of a pair in `parts`; rename or remove it")
        renders[pair].append(Render(stem.removeprefix(prefix(pair)), path, files.get(stem + MASK)))
    if lacking := [pair for pair in pairs if not renders[pair]]:
        part, whole = lacking[0]
        raise FileNotFoundError(
            f"control.renders: {folder}: {len(lacking)} of {len(pairs)} parts have no render; expected e.g. "
            f"{prefix((part, whole))}<view>.png"
        )
    return renders


def prefix(pair: Pair) -> str:
    """How the files of a pair begin."""
    part, whole = pair
    return f"{folder_of(whole)}_{folder_of(part)}_"
