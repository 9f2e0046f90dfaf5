"""Panoptic segmentation's pictures: the colour of a pixel is the number of its segment (arXiv:1801.00868).

COCO's format: number = red + 256 green + 256 * 256 blue; 0 is void.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ullava.datasets.formats.mask_pictures import decoded, modified

VOID = 0


@dataclass(frozen=True, slots=True)
class SegmentPixels:
    """The pixels of the segments `numbers`."""

    path: Path
    numbers: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        return segment_numbers(self.path).shape

    def draw(self) -> np.ndarray:
        pixels = segment_numbers(self.path)
        return pixels == self.numbers[0] if len(self.numbers) == 1 else np.isin(pixels, self.numbers)


def segment_numbers(path: Path) -> np.ndarray:
    """Returns the number of each pixel's segment, (H, W) uint32. The last few are kept: segments share one decoding.

    Raises:
        ValueError: the file is broken, or is not in colour.
    """
    return _segment_numbers(path, modified(path))


@lru_cache(maxsize=8)
def _segment_numbers(path: Path, time: int) -> np.ndarray:
    image = decoded(path)
    if image.mode not in ("RGB", "RGBA"):
        raise ValueError(f"{path}: expected the colours of panoptic segments, found a {image.mode} picture")
    red, green, blue = (np.asarray(image)[..., channel].astype(np.uint32) for channel in range(3))
    return red | green << 8 | blue << 16
