"""Masks as annotation files hold them: kept encoded until somebody draws them.

A drawn mask is (H, W) bool of the original picture, the union of its parts, never their sum. Every kind is frozen,
hashable and small, knows its `size`, and draws itself. Run lengths go down the columns, as COCO's do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from pycocotools import mask as coco


class Mask(Protocol):
    """Anything that can be drawn."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that `draw` will have."""

    def draw(self) -> np.ndarray:
        """Returns (H, W) bool."""


@dataclass(frozen=True, slots=True)
class RunLengths:
    """COCO's run lengths: lengths of background and foreground in turns, or the string they are packed into."""

    size: tuple[int, int]
    counts: str | tuple[int, ...]

    def draw(self) -> np.ndarray:
        if isinstance(self.counts, str):
            return decode({"size": self.size, "counts": self.counts})
        if sum(self.counts) != self.size[0] * self.size[1]:
            raise ValueError(f"run lengths cover {sum(self.counts)} pixels, their size {self.size} has another number")
        runs = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return np.ascontiguousarray(runs.reshape(self.size[::-1]).T)


@dataclass(frozen=True, slots=True)
class Polygons:
    """The union of polygons, each (x0, y0, x1, y1, ...) in pixels. Fewer than three points cover nothing.

    Raises:
        ValueError: a polygon has an x without its y.
    """

    size: tuple[int, int]
    parts: tuple[tuple[float, ...], ...]

    def __post_init__(self):
        for part in self.parts:
            if len(part) % 2:
                raise ValueError(f"a polygon of {len(part)} numbers: expected pairs x, y")

    def draw(self) -> np.ndarray:
        # Four numbers would be taken for a box by pycocotools; they are a line, and cover nothing.
        areas = [list(part) for part in self.parts if len(part) >= 6]
        if not areas:
            return np.zeros(self.size, bool)
        return coco.decode(coco.merge(coco.frPyObjects(areas, *self.size))).astype(bool)


@dataclass(frozen=True, slots=True)
class LabelPixels:
    """The pixels of a label map whose value is among `values`."""

    path: Path
    values: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        return label_map(self.path).shape

    def draw(self) -> np.ndarray:
        labels = label_map(self.path)
        if len(self.values) == 1:
            return labels == self.values[0]
        table = np.zeros(int(np.iinfo(labels.dtype).max) + 1, bool)
        table[list(self.values)] = True
        return table[labels]


@dataclass(frozen=True, slots=True)
class Foreground:
    """The bright pixels of a mask picture: grey, palette or colour, as salient object sets publish them.

    Attributes:
        threshold: least value, 0 to 255, of the brightest channel of a foreground pixel.
    """

    path: Path
    threshold: int = 128

    @property
    def size(self) -> tuple[int, int]:
        return brightness(self.path).shape

    def draw(self) -> np.ndarray:
        values = brightness(self.path)
        drawn = values >= self.threshold
        if not drawn.any() and values.any():
            raise ValueError(
                f"{self.path}: the brightest pixel is {values.max()}, expected {self.threshold} or more; "
                f"where 1 means foreground, set `threshold: 1`"
            )
        return drawn


@dataclass(frozen=True, slots=True)
class Union:
    """Everything that any of `masks` covers; at least one, all of one size."""

    masks: tuple[Mask, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.masks[0].size

    def draw(self) -> np.ndarray:
        drawn = self.masks[0].draw()
        for mask in self.masks[1:]:
            check_size(mask, self.size, "union of masks")
            drawn = drawn | mask.draw()
        return drawn


def from_coco(segmentation: Any, size: tuple[int, int]) -> Mask | None:
    """Returns the mask in COCO's `segmentation` field: polygons, run lengths, or a list of run lengths; None if empty.

    Raises:
        ValueError: the field holds something else.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        return RunLengths(tuple(segmentation["size"]), counts if isinstance(counts, str) else tuple(counts))
    if isinstance(segmentation, Sequence) and isinstance(segmentation[0], Mapping):
        parts = tuple(from_coco(part, size) for part in segmentation)
        return parts[0] if len(parts) == 1 else Union(parts)
    if isinstance(segmentation, Sequence) and isinstance(segmentation[0], Sequence):
        return Polygons(size, tuple(tuple(part) for part in segmentation))
    raise ValueError(f"segmentation: expected polygons or run lengths, found {str(segmentation)[:60]}")


def encode(mask: np.ndarray) -> dict[str, Any]:
    """Returns (H, W) bool as COCO run lengths that JSON can hold: {"size": [H, W], "counts": text}."""
    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(side) for side in packed["size"]], "counts": packed["counts"].decode("ascii")}


def decode(packed: Mapping[str, Any]) -> np.ndarray:
    """Inverse of `encode`."""
    return coco.decode({"size": list(packed["size"]), "counts": packed["counts"]}).astype(bool)


def check_size(mask: Mask | np.ndarray, size: tuple[int, int], where: str) -> None:
    """Compares a mask with its picture.

    Raises:
        ValueError: they differ (names both).
    """
    found = mask.shape if isinstance(mask, np.ndarray) else mask.size
    if tuple(found) != tuple(size):
        raise ValueError(
            f"{where}: the mask is {found[0]} x {found[1]} (H x W), its picture {size[0]} x {size[1]}; "
            f"they must be of one size: one of the two files is not the published one"
        )


def label_map(path: Path) -> np.ndarray:
    """Returns the class ids in a label picture, (H, W) unsigned. The last few are kept: classes share one decoding.

    Raises:
        ValueError: the file is broken, or has colour channels instead of ids.
    """
    return _label_map(path, _modified(path))


def brightness(path: Path) -> np.ndarray:
    """Returns the brightest channel of each pixel of a mask picture, (H, W) uint8; alpha is ignored.

    Raises:
        ValueError: the file is broken.
    """
    return _brightness(path, _modified(path))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such mask; the annotation file names it, its folder lacks it") from None


@lru_cache(maxsize=8)
def _label_map(path: Path, modified: int) -> np.ndarray:
    image = _decoded(path)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "P", "I", "I;16", "I;16B"):
        raise ValueError(f"{path}: expected class ids in one channel, found a {image.mode} picture")
    ids = np.asarray(image)
    return ids if ids.dtype == np.uint8 else ids.astype(np.uint16)


@lru_cache(maxsize=8)
def _brightness(path: Path, modified: int) -> np.ndarray:
    image = _decoded(path)
    if image.mode.startswith("I"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB")).max(axis=-1)


def _decoded(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError) as error:  # Pillow calls a broken PNG a SyntaxError
        raise ValueError(f"{path}: the mask cannot be decoded ({error}); fetch the file again") from error
