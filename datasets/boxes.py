"""Boxes: x0, y0, x1, y1 in pixels of the original picture, x1 and y1 outside. Every other way of writing one ends here.

Each `from_X` has its inverse `to_X`. Sizes are (H, W). A format that leaves the convention to whoever writes the files
names it by a word of FORMS.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ullava.datasets.structures import Box


def from_xyxy(box: Sequence[float]) -> Box:
    """Our own way of writing it."""
    x0, y0, x1, y1 = box
    return (x0, y0, x1, y1)


def from_xywh(box: Sequence[float]) -> Box:
    """COCO's x, y, width, height."""
    x, y, width, height = box
    return (x, y, x + width, y + height)


def to_xywh(box: Box) -> Box:
    """Inverse of `from_xywh`."""
    x0, y0, x1, y1 = box
    return (x0, y0, x1 - x0, y1 - y0)


def from_inclusive(box: Sequence[float]) -> Box:
    """Corners that are both inside, as PASCAL VOC and old box programs write them (from 0)."""
    x0, y0, x1, y1 = box
    return (x0, y0, x1 + 1, y1 + 1)


def to_inclusive(box: Box) -> Box:
    """Inverse of `from_inclusive`."""
    x0, y0, x1, y1 = box
    return (x0, y0, x1 - 1, y1 - 1)


def from_one(box: Sequence[float]) -> Box:
    """Corners that are both inside, counted from 1, as PASCAL VOC's and Flickr30k Entities' files write them."""
    x0, y0, x1, y1 = box
    return (x0 - 1, y0 - 1, x1, y1)


def to_one(box: Box) -> Box:
    """Inverse of `from_one`."""
    x0, y0, x1, y1 = box
    return (x0 + 1, y0 + 1, x1, y1)


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of them."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def from_normalised(box: Sequence[float], size: tuple[int, int]) -> Box:
    """Fractions of the picture's width and height."""
    height, width = size
    return (box[0] * width, box[1] * height, box[2] * width, box[3] * height)


def to_normalised(box: Box, size: tuple[int, int]) -> Box:
    """Inverse of `from_normalised`."""
    height, width = size
    return (box[0] / width, box[1] / height, box[2] / width, box[3] / height)


def from_thousandths(box: Sequence[float], size: tuple[int, int]) -> Box:
    """Thousandths of the picture's width and height, as Qwen-VL writes boxes in words (arXiv:2308.12966)."""
    return from_normalised([side / 1000 for side in box], size)


def to_thousandths(box: Box, size: tuple[int, int]) -> Box:
    """Inverse of `from_thousandths`; does not round: the caller that writes the numbers does."""
    x0, y0, x1, y1 = to_normalised(box, size)
    return (x0 * 1000, y0 * 1000, x1 * 1000, y1 * 1000)


def from_padded_square(box: Sequence[float], size: tuple[int, int]) -> Box:
    """Fractions of the square that padding makes of the picture, the picture in its middle (u-LLaVA's boxes)."""
    side, left, top = padding(size)
    return (box[0] * side - left, box[1] * side - top, box[2] * side - left, box[3] * side - top)


def to_padded_square(box: Box, size: tuple[int, int]) -> Box:
    """Inverse of `from_padded_square`."""
    side, left, top = padding(size)
    return ((box[0] + left) / side, (box[1] + top) / side, (box[2] + left) / side, (box[3] + top) / side)


def padding(size: tuple[int, int]) -> tuple[int, int, int]:
    """Side of the square around a picture, and the whole pixels left of it and above it."""
    side = max(size)
    return side, (side - size[1]) // 2, (side - size[0]) // 2


def clip(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box that lies in the picture."""
    x0, y0, x1, y1 = box
    height, width = size
    return (min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height))


def area(box: Box) -> float:
    """Pixels; 0 where a corner is on the wrong side."""
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, float64; 0 where both are empty."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    x0, y0 = np.maximum(first[:2], second[:2])
    x1, y1 = np.minimum(first[2:], second[2:])
    shared = area((x0, y0, x1, y1))
    union = area(from_xyxy(first.tolist())) + area(from_xyxy(second.tolist())) - shared
    return float(shared / union) if union > 0 else 0.0


def box_of(mask: np.ndarray) -> Box | None:
    """The smallest box around a drawn mask, (H, W) bool; None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


FORMS: dict[str, Callable[[Sequence[float], tuple[int, int]], Box]] = {
    "xyxy": lambda box, size: from_xyxy(box),
    "xywh": lambda box, size: from_xywh(box),
    "inclusive": lambda box, size: from_inclusive(box),
    "from_one": lambda box, size: from_one(box),
    "normalised": from_normalised,
    "thousandths": from_thousandths,
    "padded_square": from_padded_square,
}
SIZED = ("normalised", "thousandths", "padded_square")  # forms that only the picture's size makes pixels of
