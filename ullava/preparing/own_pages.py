"""What all drawing programs' files become on their way: pictures, and the instances in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets import images
from ullava.datasets.structures import Box


@dataclass(frozen=True, slots=True)
class Instance:
    """One object.

    Attributes:
        label: its class.
        box: around it, in our convention.
        segmentation: as COCO's files have it; empty where only a box was drawn.
        phrases: ways to say which one it is.
    """

    label: str
    box: Box
    segmentation: Any = ()
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One picture.

    Attributes:
        file: path below its split's folder of pictures.
        size: (H, W).
    """

    file: str
    size: tuple[int, int]
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures that belong together.

    Attributes:
        name: "" where there is one only.
        images: their folder.
    """

    name: str
    images: Path
    pages: Iterable[Page]


def ring(points: Sequence[Sequence[float]], where: str) -> list[float]:
    """A polygon x0, y0, x1, y1, ... of its corners.

    Raises:
        ValueError: fewer than three, or no pairs of numbers.
    """
    corners = np.asarray(points, float)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"{where}: expected three corners x, y or more, found {str(points)[:60]}")
    return corners.ravel().tolist()


def around(rings: Sequence[Sequence[float]]) -> Box:
    """The box around polygons."""
    numbers = np.concatenate([np.reshape(part, (-1, 2)) for part in rings])
    return (*numbers.min(axis=0).tolist(), *numbers.max(axis=0).tolist())


def measured(path: Path, stated: tuple[int, int] | None, where: str) -> tuple[int, int]:
    """(H, W) of a picture.

    Raises:
        FileNotFoundError: no such picture.
        ValueError: it is not what was drawn on.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{where}: {path}: no such picture; name the folder of the pictures with --images")
    size = images.size_of(path)
    if stated and tuple(stated) != size:
        raise ValueError(
            f"{where}: {path} is {size[0]} x {size[1]} (H x W), it was drawn on {stated[0]} x {stated[1]}; "
            "is it another copy of the picture?"
        )
    return size


def said(found: Any) -> tuple[str, ...]:
    """Phrases that an attribute holds: a text, several in a list, or several lines."""
    texts = found if isinstance(found, list) else str(found or "").splitlines()
    return tuple(text for text in (str(one).strip() for one in texts) if text)
