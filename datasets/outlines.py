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
    mask = np.zeros(size, bool)
    corners = np.asarray(points, np.int64).reshape(-1, 2)
    if not len(corners):
        return mask
    edges = list(zip(corners, np.roll(corners, -1, axis=0), strict=True))
    x, y = np.concatenate([line(*edge) for edge in edges]).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask[y[inside], x[inside]] = True
    return mask | between(edges, size)


def between(edges: Sequence[tuple[np.ndarray, np.ndarray]], size: tuple[int, int]) -> np.ndarray:
    """What lies between a row's first and second crossing, its third and fourth, and so on: (H, W) bool."""
    height, width = size
    y, x = np.concatenate([crossings(*edge) for edge in edges]).T
    kept = (y >= 0) & (y < height)
    y, x = y[kept], x[kept]
    order = np.lexsort((x, y))  # every row is crossed an even number of times
    y, x = y[order], x[order]
    first, last = x[::2] + ONE - 1 >> 16, x[1::2] >> 16  # only whole pixels within: the outline has the others
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (y[::2], first.clip(0, width)), 1)
    np.add.at(turns, (y[1::2], (last + 1).clip(0, width)), -1)
    return turns.cumsum(axis=1)[:, :width] > 0


def crossings(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(y, x) where an edge crosses the rows from its upper corner to above its lower one, x in 65536ths of a pixel."""
    (x0, y0), (x1, y1) = (start, end) if start[1] <= end[1] else (end, start)
    rows = np.arange(y1 - y0)
    slope = int(int(x1 - x0) * ONE / int(y1 - y0)) if y1 > y0 else 0  # cut towards zero
    return np.stack([y0 + rows, x0 * ONE + rows * slope], axis=1)


def line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(x, y) of the pixels of a line."""
    (x0, y0), (x1, y1) = (start, end) if start[0] <= end[0] else (end, start)
    wide, high, down = x1 - x0, abs(y1 - y0), 1 if y1 >= y0 else -1
    long, short = max(wide, high), min(wide, high)
    steps = np.arange(long + 1)
    aside = (2 * short * steps + long - 1) // (2 * long) if long else steps  # half a pixel stays
    return np.stack([x0 + steps, y0 + down * aside] if wide >= high else [x0 + aside, y0 + down * steps], axis=1)


def outlines(mask: np.ndarray) -> list[list[Point]]:
    """Polygons that cover a mask (H, W) and nothing else; none of an empty one. What has a hole is cut in two there."""
    return [inner(walk) for walk in tracing.outlines(np.asarray(mask, bool), 0)]


def inner(walk: list[Point]) -> list[Point]:
    """From the corners of a border, a mask at the right of it, to the mask's own pixels at them."""
    found = []
    for (x0, y0), (x, y), (x1, y1) in zip(walk[-1:] + walk[:-1], walk, walk[1:] + walk[:1], strict=True):
        across, down = (x - x0) + (x1 - x), (y - y0) + (y1 - y)  # one edge goes across, the other down
        found.append((x if down < 0 else x - 1, y if across > 0 else y - 1))
    return found
