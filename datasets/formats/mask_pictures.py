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
    """Returns the class ids in a label picture or MATLAB file, (H, W) unsigned.

    The last few are kept: classes share one decoding.

    Raises:
        ValueError: the file is broken, or has colour channels instead of ids.
    """
    return _label_map(path, modified(path))


def brightness(path: Path) -> np.ndarray:
    """Returns the brightest channel of each pixel of a mask picture, (H, W) uint8; alpha is ignored.

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
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "P", "I", "I;16", "I;16B"):
        raise ValueError(f"{path}: expected class ids in one channel, found a {image.mode} picture")
    ids = np.asarray(image)
    return ids if ids.dtype == np.uint8 else ids.astype(np.uint16)


@lru_cache(maxsize=8)
def _brightness(path: Path, time: int) -> np.ndarray:
    image = decoded(path)
    if image.mode.startswith("I"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB")).max(axis=-1)


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
