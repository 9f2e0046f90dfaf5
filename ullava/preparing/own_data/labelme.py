"""LabelMe's files: one JSON beside each picture, a list of shapes (github.com/wkentaro/labelme)."""

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ullava.datasets import boxes, masks
from ullava.datasets.readers.files import inside
from ullava.datasets.tables import read_object
from ullava.preparing.own_data.pages import Instance, Page, Split, around, measured, phrases_in, ring

CORNERS = 64  # of the polygon that stands for a circle
Shape = Mapping[str, Any]


def read_labelme(source: Path, pictures: Path | None, phrase: str) -> Iterator[Split]:
    """Yields the one split of a folder of LabelMe's files; hidden folders are not looked into.

    Args:
        pictures: their folder; None: beside the files.
        phrase: key of a shape that says which object it is.

    Raises:
        FileNotFoundError: the folder holds none.
    """
    files = [path for path in sorted(source.rglob("*.json")) if not hidden(path.relative_to(source))]
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder")
    if not files:
        raise FileNotFoundError(f"{source}: expected LabelMe's files (*.json), found none")
    folder = pictures or source
    yield Split("", folder, (page(path, source, folder, phrase) for path in files))


def hidden(path: Path) -> bool:
    """Whether a part of a relative path begins with a dot, as .ipynb_checkpoints does."""
    return any(part.startswith(".") for part in path.parts)


def page(path: Path, source: Path, folder: Path, phrase: str) -> Page:
    """One file. Its picture lies beside it, or in `folder` under the same name.

    Raises:
        ValueError: a shape that covers nothing or has no label, or no such file.
    """
    tree = read_object(path, "shapes", "imagePath")
    name = Path(str(tree["imagePath"]).replace("\\", "/")).name
    beside = (path.parent / name).relative_to(source).as_posix()
    file = beside if (folder / beside).is_file() else name
    height, width = tree.get("imageHeight"), tree.get("imageWidth")  # some programs leave them out
    stated = (height, width) if height and width else None
    size = measured(inside(folder, file, str(path)), stated, str(path))
    groups: dict[Any, list[tuple[int, Shape]]] = {}
    for number, shape in enumerate(tree["shapes"]):
        if not isinstance(shape.get("label"), str) or not shape["label"].strip():
            raise ValueError(
                f"{path}: shape {number}: expected a label, found {shape.get('label')!r}; name it, or delete it"
            )
        group = shape.get("group_id")
        groups.setdefault(number if group is None else (shape["label"], group), []).append((number, shape))
    return Page(file, size, tuple(instance(shapes, size, str(path), phrase) for shapes in groups.values()))


def instance(shapes: Sequence[tuple[int, Shape]], size: tuple[int, int], where: str, phrase: str) -> Instance:
    """The object that the shapes of one group draw together."""
    label = shapes[0][1]["label"]
    phrases = tuple(dict.fromkeys(text for _, shape in shapes for text in phrases_in(shape.get(phrase))))
    if all(shape.get("shape_type") == "rectangle" for _, shape in shapes):
        return Instance(label, boxes.around([around([np.ravel(shape["points"])]) for _, shape in shapes]), (), phrases)
    if all(shape.get("shape_type") != "mask" for _, shape in shapes):
        rings = [outline(shape, f"{where}: shape {number} ({label})") for number, shape in shapes]
        return Instance(label, around(rings), rings, phrases)
    mask = np.zeros(size, bool)
    for number, shape in shapes:
        mask |= painted(shape, size, f"{where}: shape {number} ({label})")
    return Instance(label, boxes.box_of(mask) or (0.0, 0.0, 0.0, 0.0), masks.encode(mask), phrases)


def outline(shape: Shape, where: str) -> list[float]:
    """A shape as a polygon x0, y0, x1, y1, ...

    Raises:
        ValueError: it is a line or a point.
    """
    kind, points = shape.get("shape_type") or "polygon", shape["points"]
    if kind == "rectangle" and len(points) == 2:  # by two opposite corners; X-AnyLabeling writes all four
        (x0, y0), (x1, y1) = points
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    elif kind == "circle":
        (x, y), edge = points
        radius, turns = math.dist((x, y), edge), np.linspace(0, 2 * math.pi, CORNERS, endpoint=False)
        points = np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1)
    elif kind not in ("polygon", "rectangle", "oriented_rectangle", "rotation"):
        raise ValueError(f"{where}: a {kind} covers nothing; draw a polygon, or delete it")
    return ring(points, where)


def painted(shape: Shape, size: tuple[int, int], where: str) -> np.ndarray:
    """A shape as (H, W) bool; one of the type `mask` is a PNG between two corners.

    Raises:
        ValueError: the PNG is broken, or does not fit into the picture.
    """
    if shape.get("shape_type") != "mask":
        return masks.Polygons(size, (tuple(outline(shape, where)),)).draw()
    try:
        stamp = np.array(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))) > 0
    except (OSError, ValueError) as error:
        raise ValueError(f"{where}: the mask cannot be decoded ({error}); draw it again") from error
    x, y = (round(number) for number in shape["points"][0])
    mask = np.zeros(size, bool)
    if x < 0 or y < 0 or mask[y : y + stamp.shape[0], x : x + stamp.shape[1]].shape != stamp.shape:
        raise ValueError(f"{where}: a mask {stamp.shape} at x {x}, y {y} leaves its picture {size}; draw it again")
    mask[y : y + stamp.shape[0], x : x + stamp.shape[1]] = stamp
    return mask
