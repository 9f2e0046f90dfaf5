"""Draws masks, boxes and names over pictures.

Colours follow the place in the list: the first mask or box is orange in every picture.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ullava.datasets.structures import Box

# Okabe and Ito's colours, told apart by colour-blind readers too (jfly.uni-koeln.de/color).
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
OPACITY = 0.45


def overlay(
    picture: np.ndarray, masks: Sequence[np.ndarray], boxes: Sequence[Box], names: Sequence[str] | None = None
) -> np.ndarray:
    """Returns the picture with tinted and outlined masks, boxes, and a name at each; (H, W, 3) uint8.

    Args:
        picture: (H, W, 3) uint8.
        masks: (H, W) bool each.
        boxes: the i-th has the i-th mask's colour.
        names: the i-th stands at the i-th box, or mask where there is no such box.

    Raises:
        ValueError: a picture that is not (H, W, 3) uint8, or a mask of another size.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"overlay: expected a picture (H, W, 3) uint8, found {picture.shape} {picture.dtype}")
    drawn = picture.copy()
    width = line_width(picture)
    for i, mask in enumerate(masks):
        if mask.shape != picture.shape[:2]:
            raise ValueError(f"overlay: mask {i} is {mask.shape}, its picture {picture.shape[:2]}")
        tint(drawn, mask.astype(bool, copy=False), colour(i), width)
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    for i, box in enumerate(boxes):
        pen.rectangle(corners(box), outline=colour(i), width=width)
    for i, name in enumerate(names or ()):
        corner = top_left(i, masks, boxes)
        if name and corner:
            write_name(pen, name, corner, colour(i), picture.shape[:2])
    return np.asarray(canvas)


def tint(picture: np.ndarray, mask: np.ndarray, paint: tuple[int, int, int], width: int) -> None:
    """Blends `paint` into the mask's pixels and draws its contour, `width` pixels wide, in place."""
    picture[mask] = ((1 - OPACITY) * picture[mask] + OPACITY * np.array(paint)).astype(np.uint8)
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    picture[mask & ~inner] = paint


def colour(i: int) -> tuple[int, int, int]:
    """(R, G, B) of the i-th mask or box."""
    return COLOURS[i % len(COLOURS)]


def line_width(picture: np.ndarray) -> int:
    """Pixels across a line that is easily seen on a picture (H, W, 3) of this size."""
    return max(1, round(min(picture.shape[:2]) / 110))


def corners(box: Box) -> Box:
    """First and last pixel of a box, also where a model gave it inside out."""
    x0, y0, x1, y1 = box
    left, top = min(x0, x1), min(y0, y1)
    return left, top, max(left, max(x0, x1) - 1), max(top, max(y0, y1) - 1)


def top_left(i: int, masks: Sequence[np.ndarray], boxes: Sequence[Box]) -> tuple[int, int] | None:
    """(x, y) of the top left corner of the i-th box, else of the i-th mask; None where neither is drawn."""
    if i < len(boxes):
        left, top, _, _ = corners(boxes[i])
        return int(left), int(top)
    if i < len(masks) and masks[i].any():
        return int(masks[i].any(axis=0).argmax()), int(masks[i].any(axis=1).argmax())
    return None


def write_name(
    pen: ImageDraw.ImageDraw, name: str, corner: tuple[int, int], paint: tuple[int, int, int], size: tuple[int, int]
) -> None:
    """Writes `name` on a plate of colour `paint` above `corner`, inside a picture of `size`."""
    height, width = size
    font = ImageFont.load_default(max(10, min(size) // 24))
    x0, y0, x1, y1 = pen.textbbox((0, 0), name, font=font)
    wide, high = x1 - x0 + 6, y1 - y0 + 6
    left, top = max(0, min(corner[0], width - wide)), max(0, min(corner[1] - high, height - high))
    dark = sum(w * c for w, c in zip((0.299, 0.587, 0.114), paint, strict=True)) < 128
    pen.rectangle((left, top, left + wide - 1, top + high - 1), fill=paint)
    pen.text((left + 3 - x0, top + 3 - y0), name, fill="white" if dark else "black", font=font)


def enlarge(
    picture: np.ndarray, masks: Sequence[np.ndarray], boxes: Sequence[Box], side: int = 320
) -> tuple[np.ndarray, list[np.ndarray], list[Box]]:
    """Multiplies a small picture, its masks and boxes by the whole number that brings its shorter side to `side`.

    Drawn before it is enlarged, a line of a 96-pixel picture would be a bar. Larger pictures come back as they are.
    """
    times = max(1, round(side / min(picture.shape[:2])))
    if times == 1:
        return picture, list(masks), list(boxes)
    height, width = picture.shape[:2]
    large = np.asarray(Image.fromarray(picture).resize((width * times, height * times), Image.Resampling.BICUBIC))
    return (
        large,
        [np.repeat(np.repeat(mask, times, axis=0), times, axis=1) for mask in masks],
        [(times * x0, times * y0, times * x1, times * y1) for x0, y0, x1, y1 in boxes],
    )


def beside(pictures: Sequence[np.ndarray], gap: int = 8) -> np.ndarray:
    """Pictures in one row, tops aligned, white between them; (max H, sum W + gaps, 3) uint8.

    Raises:
        ValueError: no pictures.
    """
    if not pictures:
        raise ValueError("beside: expected at least one picture, found none")
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    row = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for picture in pictures:
        row[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + gap
    return row
