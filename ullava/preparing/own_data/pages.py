"""What the files of all drawing programs become first: pictures, and the instances drawn in them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ullava.datasets import images, masks
from ullava.datasets.structures import Box

ARTICLE = re.compile(r"^(the|an?)\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Instance:
    """One object.

    Attributes:
        label: its class.
        box: x0, y0, x1, y1 in pixels, x1 and y1 outside.
        segmentation: the mask as MS COCO's files state it (polygons or run lengths); empty where only a box was drawn.
        phrases: ways to say which one it is.
    """

    label: str
    box: Box
    segmentation: Any = ()
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One picture and what was drawn in it.

    Attributes:
        file: path below its split's folder of pictures.
        size: (H, W).
    """

    file: str
    size: tuple[int, int]
    instances: tuple[Instance, ...]

    def alone(self, instance: Instance) -> bool:
        """Whether no other instance of this picture has the same class, so that the class name means this one."""
        return sum(other.label == instance.label for other in self.instances) == 1


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures that belong together.

    Attributes:
        name: "train", "val" ...; "" where there is one split only.
        images: the folder of the pictures.
        pages: read one by one; reading them fills `left_out`.
        left_out: what was not taken over -> how many objects.
    """

    name: str
    images: Path
    pages: Iterable[Page]
    left_out: Counter[str] = field(default_factory=Counter)


def drawn(instance: Instance, page: Page) -> np.ndarray:
    """The mask of an instance that has one, (H, W) bool.

    Raises:
        ValueError: only a box was drawn.
    """
    mask = masks.from_coco(instance.segmentation, page.size)
    if mask is None:
        raise ValueError(f"{page.file}: {instance.label}: expected a mask, found a box only")
    return mask.draw()


def ring(points: ArrayLike, where: str) -> list[float]:
    """A polygon x0, y0, x1, y1, ... of its corners, (N, 2) in pixels.

    Raises:
        ValueError: fewer than three corners, or no pairs of numbers.
    """
    corners = np.asarray(points, float)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"{where}: expected three corners x, y or more, found {str(points)[:60]}")
    return corners.ravel().tolist()


def around(rings: Sequence[ArrayLike]) -> Box:
    """The box around polygons, each x0, y0, x1, y1, ..."""
    corners = np.concatenate([np.reshape(np.asarray(polygon, float), (-1, 2)) for polygon in rings])
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0, y0, x1, y1


def measured(path: Path, stated: tuple[int, int] | None, where: str) -> tuple[int, int]:
    """(H, W) of a picture, compared with what its annotation states, where it states anything.

    Raises:
        FileNotFoundError: no such picture.
        ValueError: it has another size than the picture that was drawn on.
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


def phrases_in(attribute: Any) -> tuple[str, ...]:
    """Phrases that an attribute holds, a text, several in a list, or several lines, without the article before them.

    The questions bring an article of their own, and `ullava ask` takes it from what is asked, too.
    """
    texts = attribute if isinstance(attribute, list) else str(attribute or "").splitlines()
    phrases = (ARTICLE.sub("", str(text).strip()) for text in texts)
    return tuple(phrase for phrase in phrases if phrase)
