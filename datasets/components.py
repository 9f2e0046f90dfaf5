"""Splits a mask into connected parts, drops the small accidental ones, and draws boxes around the rest."""

from typing import Literal, cast

import numpy as np

from ullava.datasets.boxes import around, box_of
from ullava.datasets.structures import Box

Join = Literal["union", "largest", "each"]
TOUCHING = np.ones((3, 3), bool)  # pixels of one part touch by sides or corners


def without_crumbs(mask: np.ndarray, least: float, pixels: int = 0) -> np.ndarray:
    """A drawn mask (H, W) bool without the connected parts that are too small.

    Args:
        least: share of the largest part's pixels that a part needs; 0 keeps all.
        pixels: that a part needs, the largest, too: a mask that has no such part becomes empty.
    """
    numbers, sizes = parts(mask)
    return (sizes >= max(pixels, least * sizes.max()))[numbers] & mask


def boxes_of(mask: np.ndarray, join: Join = "union", *, least: float = 0.01, pixels: int = 64) -> list[Box]:
    """Boxes around a drawn mask (H, W) bool, crumbs left out; none where nothing is left.

    Args:
        join: one box around all parts; one around the largest part; one around each, the largest first.
        least, pixels: see `without_crumbs`.
    """
    numbers, sizes = parts(mask)
    enough = max(pixels, least * sizes.max(), 1)
    kept = [n for n in np.argsort(-sizes, kind="stable") if sizes[n] >= enough]
    drawn = (numbers == n for n in (kept[:1] if join == "largest" else kept))
    boxes = [box for part in drawn if (box := box_of(part))]  # none is empty
    return [around(boxes)] if boxes and join == "union" else boxes


def parts(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each pixel's connected part, (H, W), and the pixels of each number; 0 is the ground, of none."""
    from scipy import ndimage  # a fifth of a second, which readers that frame nothing need not wait

    numbers, _ = cast(tuple[np.ndarray, int], ndimage.label(mask, TOUCHING))  # an int alone where it gets an `output`
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    return numbers, sizes
