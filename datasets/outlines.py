"""Polygons of whole pixels, filled with their outlines: pixel by pixel what OpenCV's `fillPoly` and `polylines` draw.

`outlines` is the inverse of `fill`: polygons of a mask that cover its very pixels.

Truths that were drawn by OpenCV (ReasonSeg) are scored by these pixels; another rule for the border moves every IoU.
The inside is found row by row in 16 bits of fraction, even-odd; the outline is Bresenham's, from left to right.
"""

from collections.abc import Sequence

import numpy as np

from ullava.datasets import tracing

ONE = 1 << 16
Point = tuple[int, int]


def fill(points: Sequence[Point], size: tuple[int, int]) -> np.ndarray:
    """A polygon's inside and outline.

    Args:
        points: (x, y) of its corners; some may lie outside the picture.
        size: (H, W).

    Returns:
        (H, W) bool.
    """
    height, width = size
    # pycocotools would leave the outline out: findings/polygon_outline.sh
    mask = np.zeros(size, bool)
    starts = np.asarray(points, np.int64).reshape(-1, 2)
    if not len(starts):
        return mask
    ends = np.roll(starts, -1, axis=0)
    x, y = lines(starts, ends)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask[y[inside], x[inside]] = True
    return mask | between(*crossings(starts, ends), size)


def between(y: np.ndarray, x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the pixels between a row's first and second crossing, its third and fourth, and so on: (H, W) bool."""
    height, width = size
    kept = (y >= 0) & (y < height)
    y, x = y[kept], x[kept]
    order = np.lexsort((x, y))  # every row is crossed an even number of times
    y, x = y[order], x[order]
    first, last = x[::2] + ONE - 1 >> 16, x[1::2] >> 16  # only whole pixels within: the outline has the others
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (y[::2], first.clip(0, width)), 1)
    np.add.at(turns, (y[1::2], (last + 1).clip(0, width)), -1)
    return turns.cumsum(axis=1)[:, :width] > 0


def crossings(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y and x, in 65536ths of a pixel, where edges cross the rows from their upper corner to above their lower one."""
    (x0, y0), (x1, y1) = ordered(starts, ends, axis=1)
    edge, rows = counted(y1 - y0)
    slope = np.trunc((x1 - x0) * ONE / np.maximum(y1 - y0, 1)).astype(np.int64)
    return y0[edge] + rows, x0[edge] * ONE + rows * slope[edge]


def lines(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels of lines."""
    (x0, y0), (x1, y1) = ordered(starts, ends, axis=0)
    wide, high, down = x1 - x0, abs(y1 - y0), np.where(y1 >= y0, 1, -1)
    long, short = np.maximum(wide, high), np.minimum(wide, high)
    edge, steps = counted(long + 1)
    long, flat = np.maximum(long, 1)[edge], (wide >= high)[edge]
    aside = (2 * short[edge] * steps + long - 1) // (2 * long)  # half a pixel stays
    x, y = np.where(flat, (steps, aside), (aside, steps))
    return x0[edge] + x, y0[edge] + down[edge] * y


def ordered(starts: np.ndarray, ends: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The ends of edges as (x, y), (x, y), the one that comes first along the axis first."""
    turned = (starts[:, axis] > ends[:, axis])[:, None]
    return np.where(turned, ends, starts).T, np.where(turned, starts, ends).T


def counted(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[2, 1] -> [0, 0, 1], [0, 1, 0]: which edge each of its steps belongs to, and its number there."""
    edge = np.repeat(np.arange(len(counts)), counts)
    return edge, np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts)


def outlines(mask: np.ndarray) -> list[list[Point]]:
    """Polygons that cover a mask (H, W) and nothing else; none of an empty one. What has a hole is cut in two there."""
    return [inner(walk) for walk in tracing.outlines(np.asarray(mask, bool), 0)]


def inner(walk: list[Point]) -> list[Point]:
    """From the corners of a border, a mask at the right of it, to the mask's own pixels at them."""
    rings = []
    for (x0, y0), (x, y), (x1, y1) in zip(walk[-1:] + walk[:-1], walk, walk[1:] + walk[:1], strict=True):
        across, down = (x - x0) + (x1 - x), (y - y0) + (y1 - y)  # one edge goes across, the other down
        rings.append((x if down < 0 else x - 1, y if across > 0 else y - 1))
    return rings
