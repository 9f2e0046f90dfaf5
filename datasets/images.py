"""Pixels: a picture file becomes (H, W, 3) uint8, and a View lays it into the square that a vision tower takes.

Pixels stay uint8 until they are on the device; nobody normalises them here. A View is a geometric way and the way
back: what it does to the picture, to the boxes in it, and where the picture lies in the square.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from ullava.datasets import boxes
from ullava.datasets.opening import check_file
from ullava.datasets.structures import Picture

EXIF_ORIENTATION = 0x0112
LYING = (5, 6, 7, 8)  # orientations that exchange height and width
WHITE = (255, 255, 255)


def read(picture: Picture) -> np.ndarray:
    """Returns (H, W, 3) uint8 RGB, upright as its EXIF says; what is transparent shows white.

    Raises:
        FileNotFoundError: no such file.
        ValueError: broken or truncated, or of another size than the annotation claims.
    """
    return np.array(load(picture))


def load(picture: Picture) -> Image.Image:
    """The same as Pillow holds it, for a View: two of them need no copies of it."""
    if picture.image is not None:
        return _turned(picture.image, picture)
    image = _opened(picture.path)
    try:
        with image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            image = _rgb(image)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken PNG a SyntaxError
        raise ValueError(_broken(picture.path, error)) from error
    return _turned(image, picture)


def upright(image: Image.Image) -> Image.Image:
    """Returns an RGB copy, rotated by its EXIF orientation, transparent pixels blended with white.

    Raises:
        OSError, SyntaxError, ValueError: Pillow cannot read it, or its mode has no agreed range.
    """
    return _rgb(ImageOps.exif_transpose(image))


def _turned(image: Image.Image, picture: Picture) -> Image.Image:
    """A picture of the size that its annotation claims, mirrored if it is to be."""
    width, height = image.size
    if picture.size and (height, width) != tuple(picture.size):
        raise ValueError(
            f"{picture.path}: the picture is {height} x {width} (H x W), its annotation says "
            f"{picture.size[0]} x {picture.size[1]}; one of them is not the published one"
        )
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if picture.mirrored else image


def size_of(path: Path) -> tuple[int, int]:
    """Returns (H, W) of the upright picture without decoding it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a picture.
    """
    with _opened(path) as image:
        width, height = image.size
        return (width, height) if image.getexif().get(EXIF_ORIENTATION) in LYING else (height, width)


def _opened(path: Path) -> Image.Image:
    check_file(path, "picture")
    try:
        return Image.open(path)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: the picture is too large to be one ({error}); take it out, or shrink it") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(_broken(path, error)) from error


def _broken(path: Path, error: Exception) -> str:
    size = os.path.getsize(path)
    return f"{path}: the picture ({size} bytes) is truncated or broken ({error}); fetch the file again"


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16 bits, which Pillow's own conversion would clip at 255
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating point pixels have no agreed range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*WHITE, 255)), image).convert("RGB")
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class View:
    """How a picture lies in a tower's square.

    Attributes:
        side: of the square, in pixels.
        aspect:
            "pad": in the middle of a square of its longer side, resized bicubically (u-LLaVA, LLaVA 1.5);
            "crop": shorter side resized to `side` bicubically, then the centre (CLIP);
            "corner": longer side resized to `side` bilinearly, at the top left (SAM).
        background: R, G, B around the picture. SAM pads after it normalises: its tower has to write zeros outside of
            `resized`.
    """

    side: int
    aspect: Literal["pad", "crop", "corner"] = "pad"
    background: tuple[int, int, int] = WHITE

    def __post_init__(self):
        if self.aspect not in ("pad", "crop", "corner"):
            raise ValueError(f"aspect: expected pad, crop or corner, found {self.aspect!r}")

    def apply(self, pixels: np.ndarray | Image.Image) -> np.ndarray:
        """Returns (side, side, 3) uint8 for a picture (H, W, 3) uint8, or as `load` gives it."""
        image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
        size = (image.height, image.width)
        if self.aspect == "pad":
            return np.array(self.padded(image).resize((self.side, self.side), Image.Resampling.BICUBIC))
        height, width = self.resized(size)
        if self.aspect == "crop":
            left, top = (width - self.side) // 2, (height - self.side) // 2
            image = image.resize((width, height), Image.Resampling.BICUBIC)
            return np.array(image.crop((left, top, left + self.side, top + self.side)))
        square = np.empty((self.side, self.side, 3), np.uint8)
        square[:height, :width] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
        # One value is written five times as fast as three, and this is half of a frame.
        square[height:] = square[:, width:] = self.background[0] if len(set(self.background)) == 1 else self.background
        return square

    def padded(self, image: Image.Image) -> Image.Image:
        """The picture in the middle of a square.

        A lying one is made narrow on the way: Pillow resizes rows first, each by itself, and so need not resize those
        that are background.
        """
        full, left, top = boxes.padding((image.height, image.width))
        if top:
            image = image.resize((self.side, image.size[1]), Image.Resampling.BICUBIC)
        square = Image.new("RGB", (image.size[0] if top else full, full), self.background)
        square.paste(image, (left, top))
        return square

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the whole picture in the square's pixels; of "crop", before the rest is cut off."""
        height, width = size
        if self.aspect == "crop":  # rounds down, as CLIP's own transform
            short = min(size)
            return int(self.side * height / short), int(self.side * width / short)
        scale = self.side / max(size)  # rounds to the nearest, as SAM's own transform
        return max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1)

    def placement(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """(scale, shift) for x, y, x, y: pixel * scale + shift is the place in the square, in its pixels."""
        if self.aspect == "pad":
            full, left, top = boxes.padding(size)
            scale = np.full(4, self.side / full)
            return scale, scale * (left, top, left, top)
        height, width = self.resized(size)
        shift = (0, 0)
        if self.aspect == "crop":
            shift = (-((width - self.side) // 2), -((height - self.side) // 2))
        return np.tile((width / size[1], height / size[0]), 2), np.tile(np.asarray(shift, float), 2)

    def boxes_to(self, pixel_boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Returns boxes (N, 4) as fractions of the square; below 0 or above 1 where "crop" cuts them off."""
        scale, shift = self.placement(size)
        return (np.asarray(pixel_boxes, float).reshape(-1, 4) * scale + shift) / self.side

    def boxes_from(self, fractions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Inverse of `boxes_to`: (N, 4) in pixels of the picture, clipped to it."""
        scale, shift = self.placement(size)
        boxes_in_pixels = (np.asarray(fractions, float).reshape(-1, 4) * self.side - shift) / scale
        height, width = size
        return boxes_in_pixels.clip(0, (width, height, width, height))
