"""Polygons as people draw them in LabelMe, the annotations of ReasonSeg: what is meant, and what shall not count.

A file holds `shapes`, each with a `label` and `points`; files made after LISA's notes spell them `category` and
`polygon`, a flat list of numbers among them. A shape whose label contains "ignore" covers pixels that count nowhere,
one labelled "flag" means nothing, any other is the target. Shapes are painted from the largest to the smallest, so that
a small one within a large one is seen (LISA, utils/data_processing.py, get_mask_from_json).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets.images import size_of
from ullava.datasets.masks import IGNORED, REACH
from ullava.datasets.opening import check_file
from ullava.datasets.outlines import fill

TARGET = 1  # in a painted map; IGNORED counts nowhere, 0 is background
MEANINGLESS = "flag"
PICTURES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True, slots=True)
class Shapes:
    """One annotation file.

    Attributes:
        size: (H, W) of its picture.
        polygons: (value in the painted map, ((x, y), ...)) of each shape, as they stand in the file.
        texts: ways to ask for the target.
        is_sentence: whether they are whole sentences; None where the file does not say.

    Raises:
        ValueError: a point lies far outside the picture.
    """

    size: tuple[int, int]
    polygons: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    texts: tuple[str, ...] = ()
    is_sentence: bool | None = None

    def __post_init__(self):
        reach = REACH * max(self.size)  # an outline takes memory for every pixel of it
        for _, points in self.polygons:
            if any(abs(number) > reach for point in points for number in point):
                raise ValueError(f"a shape: expected pixels of a picture {self.size}, found {str(points)[:60]}")

    def paint(self) -> np.ndarray:
        """Returns (H, W) uint8: 1 target, 255 ignored, 0 background; outlines belong to their shapes."""
        drawn = [(value, fill(points, self.size)) for value, points in self.polygons]
        labels = np.zeros(self.size, np.uint8)
        for value, mask in sorted(drawn, key=lambda item: -np.count_nonzero(item[1])):
            labels[mask] = value
        return labels


@dataclass(frozen=True, slots=True)
class Painted:
    """The pixels of a painted map that have one value: a mask, as `masks.py` has others."""

    shapes: Shapes
    value: int = TARGET

    @property
    def size(self) -> tuple[int, int]:
        return self.shapes.size

    def draw(self) -> np.ndarray:
        return painted(self.shapes) == self.value


@lru_cache(maxsize=8)
def painted(shapes: Shapes) -> np.ndarray:
    """The painted map; the last few are kept, since target and ignored pixels come from one."""
    return shapes.paint()


def read_shapes(path: Path, picture: Path | None = None) -> Shapes:
    """Reads an annotation file.

    Args:
        picture: whose size it has; None: it lies beside the file, or the file says how large it is.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no such annotation, or nothing says the size of the picture.
    """
    check_file(path, "annotation")
    raw = path.read_bytes()
    try:
        record = json.loads(decoded(raw))
        shapes = record["shapes"]
        polygons = [polygon(shape) for shape in shapes if label_of(shape) != MEANINGLESS]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: expected `shapes`, each with `label` and `points` (or `category` and `polygon`): "
            f"{type(error).__name__}: {error}"
        ) from error
    texts = record.get("text") or ()
    texts = (texts,) if isinstance(texts, str) else tuple(texts)
    size = size_of(picture) if picture else picture_size(path, record)
    try:
        return Shapes(size, tuple(polygons), texts, record.get("is_sentence"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def decoded(raw: bytes) -> str:
    """Decodes UTF-8, or else Windows-1252, in which a few files of ReasonSeg are written."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252")


def label_of(shape: Mapping[str, Any]) -> str:
    """Returns the label of a shape, in lower case."""
    return str(shape["label"] if "label" in shape else shape["category"]).lower()


def polygon(shape: Mapping[str, Any]) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The value it is painted with, and its points, cut to whole pixels."""
    points = np.asarray(shape["points"] if "points" in shape else shape["polygon"], np.float64)
    if points.size % 2 or not np.isfinite(points).all():
        raise ValueError(f"expected pairs x, y, found {str(points.tolist())[:60]}")
    value = IGNORED if "ignore" in label_of(shape) else TARGET
    return value, tuple((int(x), int(y)) for x, y in points.reshape(-1, 2))


def picture_size(path: Path, record: Mapping[str, Any]) -> tuple[int, int]:
    """(H, W) of the picture of the same name, of the one the record names, or as the record states it."""
    named = record.get("image_path") or record.get("imagePath")
    beside = [path.with_suffix(ending) for ending in PICTURES]
    if isinstance(named, str):
        beside += [path.parent / named, path.parent / Path(named).name]
    for candidate in beside:
        if candidate.is_file():
            return size_of(candidate)
    if record.get("imageHeight") and record.get("imageWidth"):
        return int(record["imageHeight"]), int(record["imageWidth"])
    raise ValueError(
        f"{path}: nothing says the size of its picture; lay {path.stem}.jpg beside it, "
        "or write `imageHeight` and `imageWidth` into it"
    )
