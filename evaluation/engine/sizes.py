"""Sizes (H, W) of pictures, and the way of a prediction from one picture into another of a different size."""

import numpy as np

from ullava.datasets.boxes import from_normalised, to_normalised
from ullava.datasets.images import size_of as size_in_file
from ullava.datasets.structures import Box, Picture, Video

Size = tuple[int, int]


def size_of(picture: Picture | Video) -> Size:
    """Returns the size (H, W) of a picture from its annotation, or else from its file.

    Raises:
        ValueError: it is a video, in which nothing has a place.
    """
    if isinstance(picture, Video):
        raise ValueError(f"{picture.path}: expected a picture, found a video; masks and boxes are those of pictures")
    return picture.size or size_in_file(picture.path)


def resize(mask: np.ndarray, size: Size) -> np.ndarray:
    """Resizes a (H, W) mask; each new pixel takes the old value at its centre."""
    rows, columns = ((np.arange(new) + 0.5) * old / new for new, old in zip(size, mask.shape, strict=True))
    return mask[rows.astype(int)[:, None], columns.astype(int)[None]]


def move(box: Box, source: Size, target: Size) -> Box:
    """Scales a box from a picture of size `source` to one of size `target`."""
    return from_normalised(to_normalised(box, source), target)
