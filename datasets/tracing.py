"""The inverse of drawing polygons: outlines of a mask, along the edges of its pixels, as COCO's files have them.

COCO's polygons are united and know no holes, so a thing with a hole is cut in two through it. Drawn again (`Polygons`)
they cover the very same pixels.
"""

from collections.abc import Iterator

import numpy as np

Point = tuple[int, int]  # (x, y) of a pixel's corner


def polygons(mask: np.ndarray) -> list[list[int]]:
    """Outlines [x0, y0, x1, y1, ...] of a mask (H, W); none of an empty one."""
    return [[number for point in outline for number in point] for outline in outlines(np.asarray(mask, bool), 0)]


def outlines(mask: np.ndarray, left: int) -> Iterator[list[Point]]:
    """Yields the corners of every outline, clockwise; `left` is the x of the mask's first column."""
    loops = list(trace(mask))
    holes = [loop for loop in loops if area(loop) < 0]
    if not holes:
        yield from ([(x + left, y) for x, y in loop] for loop in loops)
        return
    sides = [x for x, _ in holes[0]]
    cut = (min(sides) + max(sides)) // 2  # the hole lies at the border of both halves, and so is none
    yield from outlines(mask[:, :cut], left)
    yield from outlines(mask[:, cut:], left + cut)


def trace(mask: np.ndarray) -> Iterator[list[Point]]:
    """Yields closed walks along the border with the mask at the right: clockwise around it, against it in holes."""
    onward = edges(mask)
    while onward:
        start = here = next(iter(onward))
        walk, came = [], None
        while here in onward and not (walk and here == start):
            there = leave(onward, here, came)
            step = (there[0] - here[0], there[1] - here[1])
            if step != came:
                walk.append(here)
            here, came = there, step
        yield walk


def leave(onward: dict[Point, list[Point]], here: Point, came: Point | None) -> Point:
    """Takes the next edge; where pixels touch by their corners, to the right, so that each keeps its own outline."""
    ways = onward[here]
    right = (here[0] - came[1], here[1] + came[0]) if came else ways[0]
    there = ways.pop(ways.index(right)) if right in ways else ways.pop()
    if not ways:
        del onward[here]
    return there


def area(loop: list[Point]) -> float:
    """The area inside, in pixels; negative around a hole."""
    x, y = np.array(loop, np.int64).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def edges(mask: np.ndarray) -> dict[Point, list[Point]]:
    """From each corner of the border, the corners one pixel on."""
    padded = np.pad(mask, 1).astype(np.int8)
    across, down = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    onward: dict[Point, list[Point]] = {}
    for difference, begins, ends in (
        (across == 1, (0, 0), (1, 0)), (across == -1, (1, 0), (0, 0)),
        (down == 1, (0, 1), (0, 0)), (down == -1, (0, 0), (0, 1)),
    ):  # fmt: skip
        for y, x in np.argwhere(difference).tolist():
            onward.setdefault((x + begins[0], y + begins[1]), []).append((x + ends[0], y + ends[1]))
    return onward
