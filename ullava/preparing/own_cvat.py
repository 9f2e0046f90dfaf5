"""CVAT for images 1.1: one XML file for all pictures (docs.cvat.ai, "XML annotation format")."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from ullava.datasets import boxes, masks
from ullava.datasets.readers.files import inside
from ullava.preparing.own_pages import Instance, Page, Split, around, measured, ring, said

EMPTY = ("tag", "attribute")  # elements that say something of the whole picture


def read_cvat(source: Path, pictures: Path | None, phrase: str) -> Iterator[Split]:
    """Yields the one split of an XML file. Pictures lie below images/ beside it, or below `pictures`.

    Raises:
        ValueError: not CVAT's XML for images.
    """
    try:
        root = ElementTree.parse(source).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"{source}: broken XML ({error}); export it again") from error
    if root.find("track") is not None or root.find("image") is None:
        raise ValueError(f"{source}: expected `image` elements; export the task as `CVAT for images 1.1`")
    folder = pictures or source.parent / "images"
    yield Split("", folder, (page(image, folder, source, phrase) for image in root.iter("image")))


def page(image: Element, folder: Path, source: Path, phrase: str) -> Page:
    """One picture."""
    name = image.get("name", "")
    where = f"{source}: image {image.get('id')} ({name})"
    size = measured(inside(folder, name, where), (int(image.get("height", 0)), int(image.get("width", 0))), where)
    shapes = [shape for shape in image if shape.tag not in EMPTY]
    return Page(name, size, tuple(thing(shape, size, f"{where}: {shape.tag}", phrase) for shape in shapes))


def thing(shape: Element, size: tuple[int, int], where: str, phrase: str) -> Instance:
    """One shape.

    Raises:
        ValueError: it is a line, a point, or a cuboid; or is no such shape.
    """
    label = shape.get("label", "")
    told = {attribute.get("name"): attribute.text for attribute in shape.iter("attribute")}
    phrases = said(told.get(phrase))
    try:
        if shape.tag == "box":
            return Instance(
                label, tuple(float(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr")), (), phrases
            )
        if shape.tag == "polygon":
            corners = [pair.split(",") for pair in shape.attrib["points"].split(";")]
            rings = [ring(corners, where)]
            return Instance(label, around(rings), rings, phrases)
        if shape.tag == "mask":
            covered = painted(shape, size, where)
            return Instance(label, boxes.box_of(covered) or (0.0, 0.0, 0.0, 0.0), masks.encode(covered), phrases)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where}: {label}: {error}; export the task as `CVAT for images 1.1`") from error
    raise ValueError(f"{where}: {label}: has no area of its own; draw a box, a polygon or a mask, or delete it")


def painted(shape: Element, size: tuple[int, int], where: str) -> np.ndarray:
    """A mask: run lengths along the rows of the rectangle that it fills, background first.

    Raises:
        ValueError: they do not cover the rectangle, or it leaves the picture.
    """
    left, top, width, height = (int(shape.attrib[side]) for side in ("left", "top", "width", "height"))
    runs = np.array(shape.attrib["rle"].split(","), int)
    if runs.min(initial=0) < 0 or runs.sum() != width * height or min(left, top) < 0:
        raise ValueError(
            f"{where}: run lengths of {runs.sum()} pixels in a rectangle of {height} x {width}; export again"
        )
    if top + height > size[0] or left + width > size[1]:
        raise ValueError(f"{where}: the mask leaves its picture {size}; export it again")
    covered = np.zeros(size, bool)
    stamp = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    covered[top : top + height, left : left + width] = stamp
    return covered
