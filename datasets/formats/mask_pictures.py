"""Masks that are picture files of their own: label maps, whose values are class ids, and pictures with a bright target.

Neither is read before somebody draws it. The last few files are kept decoded: the classes of a picture share one.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.datasets.formats.mat_files import read_labels
from ullava.datasets.opening import check_file

GREY_STEPS = {2: 85, 4: 17}  # bits -> what Pillow makes of a stored 1


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


def label_map(path: Path) -> np.ndarray:
    """Returns the class ids in a label picture or MATLAB file, (H, W) unsigned: the numbers that are stored.

    The last few are kept: classes share one decoding.

    Raises:
        ValueError: the file is broken, has colour channels instead of ids, or an id beyond 16 bits.
    """
    return _label_map(path, modified(path))


def brightness(path: Path) -> np.ndarray:
    """Returns the brightest channel of each pixel of a mask picture, (H, W) uint8; what is transparent is black.

    Of 16 bits the upper ones, unless all values fit into the lower: many tools store 0 and 255, or 0 and 1, in 16 bits.

    Raises:
        ValueError: the file is broken.
    """
    return _brightness(path, modified(path))


def modified(path: Path) -> int:
    """Returns the time of a mask's last change; caches use it as a key, so that a changed file is read again."""
    check_file(path, "mask")
    return path.stat().st_mtime_ns


@lru_cache(maxsize=8)
def _label_map(path: Path, time: int) -> np.ndarray:
    if path.suffix == ".mat":
        return read_labels(path)
    image = decoded(path)
    if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise ValueError(f"{path}: expected class ids in one channel, found a {image.mode} picture")
    ids = np.asarray(image)
    if ids.dtype == bool:
        return ids.astype(np.uint8)
    if ids.dtype == np.uint8:
        return ids // GREY_STEPS.get(grey_bits(path), 1)
    if ids.size and not 0 <= ids.min() <= ids.max() < 2**16:
        wrong = ids.max() if ids.max() >= 2**16 else ids.min()
        raise ValueError(f"{path}: expected class ids from 0 to 65535, found {wrong}; store them as 8 or 16 bits")
    return ids.astype(np.uint16)


@lru_cache(maxsize=8)
def _brightness(path: Path, time: int) -> np.ndarray:
    image = decoded(path)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        return (values if not values.size or values.max() < 256 else values >> 8).astype(np.uint8)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    colours = np.asarray(image.convert("RGBA")).astype(np.uint16)
    return (colours[..., :3].max(axis=-1) * colours[..., 3] // 255).astype(np.uint8)


def grey_bits(path: Path) -> int:
    """Bits a pixel of a grey PNG; 8 for all other files. Pillow spreads 2 and 4 bits over 0 to 255."""
    with path.open("rb") as file:
        head = file.read(26)  # signature, the header's length and name, width, height, bits, kind of colour
    grey_png = head.startswith(b"\x89PNG\r\n\x1a\n") and head[25:26] == b"\0"
    return head[24] if grey_png else 8


def decoded(path: Path) -> Image.Image:
    """A mask's file, read."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except (OSError, SyntaxError, ValueError) as error:  # Pillow calls a broken PNG a SyntaxError
        raise ValueError(f"{path}: the mask cannot be decoded ({error}); fetch the file again") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: the mask is too large to be one ({error}); take it out") from error
