"""Masks as annotation files hold them: they stay encoded until `draw` is called.

A drawn mask is (H, W) bool of the original picture, the union of its parts, never their sum. Every kind is frozen,
hashable and small, knows its `size`, and draws itself. Run lengths go down the columns, as COCO's do.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from pycocotools import mask as coco


class Mask(Protocol):
    """Anything that can be drawn."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that `draw` will have."""
        ...

    def draw(self) -> np.ndarray:
        """Returns (H, W) bool."""
        ...


IGNORED = 255  # in a map of one target: pixels that count nowhere; 1 is the target, 0 background
PACKED = re.compile(r"(?:[0-o]*[0-O])?")  # digits of five bits; the last one says that none follows
REACH = 10  # longer sides that a polygon may lie outside: pycocotools takes memory for every pixel of its outline


@dataclass(frozen=True, slots=True)
class RunLengths:
    """COCO's run lengths: lengths of background and foreground in turns, or the string they are packed into.

    Raises:
        ValueError: they are not what COCO's programs write.
    """

    size: tuple[int, int]
    counts: str | tuple[int, ...]

    def __post_init__(self):
        if isinstance(self.counts, str):
            if not PACKED.fullmatch(self.counts):
                raise ValueError(f"run lengths: {self.counts[:20]!r} is no string that COCO's programs write")
        elif not all(type(length) is int and 0 <= length <= self.size[0] * self.size[1] for length in self.counts):
            raise ValueError(f"run lengths: expected counts of pixels, found {str(self.counts)[:60]}")

    def draw(self) -> np.ndarray:
        counts = unpack(self.counts) if isinstance(self.counts, str) else np.array(self.counts, int)
        pixels = self.size[0] * self.size[1]
        if not 0 <= counts.min(initial=0) <= counts.max(initial=0) <= pixels or counts.sum() != pixels:
            raise ValueError(f"run lengths cover {counts.sum()} pixels, their size {self.size} has another number")
        runs = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return np.ascontiguousarray(runs.reshape(self.size[::-1]).T)


@dataclass(frozen=True, slots=True)
class Polygons:
    """The union of polygons, each (x0, y0, x1, y1, ...) in pixels. Fewer than three points cover nothing.

    Raises:
        ValueError: a polygon has an x without its y, something that is no number, or lies far outside.
    """

    size: tuple[int, int]
    parts: tuple[tuple[float, ...], ...]

    def __post_init__(self):
        reach = REACH * max(self.size)
        for part in self.parts:
            if len(part) % 2:
                raise ValueError(f"a polygon of {len(part)} numbers: expected pairs x, y")
            if not all(isinstance(number, int | float) and abs(number) <= reach for number in part):
                raise ValueError(f"a polygon: expected pixels of a picture {self.size}, found {str(part)[:60]}")

    def draw(self) -> np.ndarray:
        # Four numbers would be taken for a box by pycocotools; they are a line, and cover nothing.
        areas = [list(part) for part in self.parts if len(part) >= 6]
        if not areas:
            return np.zeros(self.size, bool)
        return coco.decode(coco.merge(coco.frPyObjects(cast(Any, areas), *self.size))).astype(bool)


@dataclass(frozen=True, slots=True)
class Empty:
    """No pixel: what an expression without a target means (gRefCOCO, arXiv:2306.00968)."""

    size: tuple[int, int]

    def draw(self) -> np.ndarray:
        return np.zeros(self.size, bool)


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
        ValueError: the field holds something else, or run lengths of another size.
    """
    if not segmentation:
        return None
    if isinstance(segmentation, Mapping):
        check_size(tuple(segmentation["size"]), size, "segmentation")
        counts = segmentation["counts"]
        height, width = size
        return RunLengths((height, width), counts if isinstance(counts, str) else tuple(counts))
    if isinstance(segmentation, Sequence) and isinstance(segmentation[0], Mapping):
        parts = tuple(mask for part in segmentation if (mask := from_coco(part, size)))
        return parts[0] if len(parts) == 1 else Union(parts) if parts else None
    if isinstance(segmentation, Sequence) and isinstance(segmentation[0], Sequence):
        return Polygons(size, tuple(tuple(part) for part in segmentation))
    raise ValueError(f"segmentation: expected polygons or run lengths, found {str(segmentation)[:60]}")


def unpack(counts: str) -> np.ndarray:
    """Returns the run lengths in COCO's string, (N,) int, not checked (cocoapi, common/maskApi.c, rleFrString).

    A character holds five bits, lowest first, and whether more follow; from the fourth on, a number is the difference
    to the one before the last. pycocotools trusts the string: where runs are too few, it draws what the memory held.
    """
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(int) - ord("0")
    last = digits & 0x20 == 0
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]])) if len(digits) else np.zeros(0, int)
    place = np.arange(len(digits)) - np.repeat(starts, np.diff(starts, append=len(digits)))
    numbers = np.add.reduceat((digits & 0x1F) << 5 * place, starts) if len(digits) else starts
    negative = digits[last] & 0x10 != 0
    numbers[negative] -= 1 << 5 * (place[last][negative] + 1)
    for first in (1, 2):
        numbers[first::2] = numbers[first::2].cumsum()
    return numbers


def encode(mask: np.ndarray) -> dict[str, Any]:
    """Returns (H, W) bool as COCO run lengths that JSON can hold: {"size": [H, W], "counts": text}."""
    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    counts = cast(bytes, packed["counts"])  # pycocotools' own type says str, of what its `decode` takes as well
    return {"size": [int(side) for side in packed["size"]], "counts": counts.decode("ascii")}


def decode(packed: Mapping[str, Any]) -> np.ndarray:
    """Inverse of `encode`."""
    return RunLengths(tuple(packed["size"]), packed["counts"]).draw()


def check_size(mask: Mask | np.ndarray | tuple[int, int], size: tuple[int, int], where: str) -> None:
    """Compares a mask, or its stated size, with the size of its picture.

    Raises:
        ValueError: they differ (names both).
    """
    mask_size = mask if isinstance(mask, tuple) else mask.shape if isinstance(mask, np.ndarray) else mask.size
    if tuple(mask_size) != tuple(size):
        raise ValueError(
            f"{where}: the mask is {mask_size[0]} x {mask_size[1]} (H x W), its picture {size[0]} x {size[1]}; "
            f"they must be of one size: one of the two files is not the published one"
        )
