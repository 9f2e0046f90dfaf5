"""CVAT for images 1.1: one XML file for all pictures (docs.cvat.ai, "XML annotation format")."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from ullava.datasets import boxes, masks
from ullava.datasets.readers.files import inside
from ullava.preparing.own_data.pages import Instance, Page, Split, around, measured, phrases_in, ring

EMPTY = ("tag", "attribute")  # elements that describe the whole picture


def read_cvat(source: Path, pictures: Path | None, phrase: str) -> Iterator[Split]:
    """Yields the one split of an XML file. Pictures lie below images/ beside it, or below `pictures`.

    Args:
        phrase: attribute of a shape that says which object it is.

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
    left_out: Counter[str] = Counter()
    yield Split("", folder, (page(image, folder, source, phrase, left_out) for image in root.iter("image")), left_out)


def page(image: Element, folder: Path, source: Path, phrase: str, left_out: Counter[str]) -> Page:
    """One picture with its shapes."""
    name = image.get("name", "")
    where = f"{source}: image {image.get('id')} ({name})"
    size = measured(inside(folder, name, where), (int(image.get("height", 0)), int(image.get("width", 0))), where)
    left_out["tag of a whole picture"] += sum(shape.tag == "tag" for shape in image)
    shapes = [shape for shape in image if shape.tag not in EMPTY]
    return Page(name, size, tuple(instance(shape, size, f"{where}: {shape.tag}", phrase) for shape in shapes))


def instance(shape: Element, size: tuple[int, int], where: str, phrase: str) -> Instance:
    """The object that a shape draws.

    Raises:
        ValueError: it is a line, a point, or a cuboid; or is no such shape.
    """
    label = shape.get("label", "")
    attributes = {attribute.get("name"): attribute.text for attribute in shape.iter("attribute")}
    phrases = phrases_in(attributes.get(phrase))
    try:
        if shape.tag == "box":
            x0, y0, x1, y1 = (float(shape.attrib[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            return Instance(label, (x0, y0, x1, y1), (), phrases)
        if shape.tag == "polygon":
            rings = [ring([pair.split(",") for pair in shape.attrib["points"].split(";")], where)]
            return Instance(label, around(rings), rings, phrases)
        if shape.tag == "mask":
            mask = painted(shape, size, where)
            return Instance(label, boxes.box_of(mask) or (0.0, 0.0, 0.0, 0.0), masks.encode(mask), phrases)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where}: {label}: {error}; export the task as `CVAT for images 1.1`") from error
    raise ValueError(f"{where}: {label}: has no area of its own; draw a box, a polygon or a mask, or delete it")


def painted(shape: Element, size: tuple[int, int], where: str) -> np.ndarray:
    """A brush mask, (H, W) bool: run lengths along the rows of the rectangle that it fills, background first.

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
    mask = np.zeros(size, bool)
    stamp = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask[top : top + height, left : left + width] = stamp
    return mask
