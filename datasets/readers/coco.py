"""MS COCO's JSON, grouped by picture (arXiv:1405.0312; cocodataset.org, "Data format").

One row a picture, in the order of file names, so that "every fifth" means the same on every machine.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ullava.datasets import boxes, masks
from ullava.datasets.masks import Mask, Polygons, RunLengths, Union
from ullava.datasets.structures import Region
from ullava.datasets.tables import TableRow, read_object


def pictures(tree: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Image id -> its file name and size (H, W), in the order of file names."""
    images = sorted(tree["images"], key=lambda image: image["file_name"])
    return {image["id"]: {"file": image["file_name"], "size": [image["height"], image["width"]]} for image in images}


def captions(path: Path) -> Iterator[TableRow]:
    """One row per picture that has captions."""
    tree = read_object(path, "images", "annotations")
    captions = defaultdict(list)
    for annotation in tree["annotations"]:
        captions[annotation["image_id"]].append(annotation["caption"].strip())
    for identity, picture in pictures(tree).items():
        if identity in captions:
            yield TableRow(str(identity), picture["file"], picture | {"captions": captions[identity]})


def instances(path: Path, *, unique_categories: bool = False, smallest: float = 0.0) -> Iterator[TableRow]:
    """One row per picture that has objects.

    Crowds are left out, and what covers less than the share `smallest` of its picture; of `unique_categories` also what
    is there twice.
    """
    tree = read_object(path, "images", "annotations", "categories")
    names = {category["id"]: category["name"] for category in tree["categories"]}
    annotations = defaultdict(list)
    for annotation in tree["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    for identity, picture in pictures(tree).items():
        present = Counter(annotation["category_id"] for annotation in annotations[identity])  # a crowd is there, too
        objects = [
            thing(annotation, names)
            for annotation in annotations[identity]
            if not annotation.get("iscrowd")
            and (present[annotation["category_id"]] == 1 or not unique_categories)
            and not (smallest and annotation["area"] < smallest * picture["size"][0] * picture["size"][1])
        ]
        if objects:
            yield TableRow(str(identity), picture["file"], picture | {"objects": objects})


def thing(annotation: dict[str, Any], names: dict[int, str]) -> dict[str, Any]:
    """Returns the facts in one object's annotation, by the keys that `region` reads."""
    category = names[annotation["category_id"]]
    return {"category": category, "bbox": annotation["bbox"], "segmentation": annotation["segmentation"]}


def region(stated: Mapping[str, Any], size: tuple[int, int], where: str, phrases: tuple[str, ...] = ()) -> Region:
    """The region that an object's annotation states; boxes are x, y, width, height in the file.

    Raises:
        ValueError: the box or the mask cannot be one of a picture of this size; begins with `where`.
    """
    try:
        box, mask = boxes.from_xywh(stated["bbox"]), masks.from_coco(stated["segmentation"], size)
        return Region(phrases, stated["category"], box, mask)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {stated.get('category')}: {error}") from error


def state(region: Region, where: str) -> dict[str, Any]:
    """Inverse of `region`: the category, the box as x, y, width, height, and the mask as COCO's files have it.

    Raises:
        ValueError: there is neither a box nor a pixel of a mask; begins with `where`.
    """
    segmentation = segmentation_of(region.mask) if region.mask else []
    box = region.box or (boxes.box_of(region.mask.draw()) if region.mask else None)
    if box is None:
        raise ValueError(f"{where}: {region.category}: expected a box or a mask, found neither")
    return {"category": region.category, "bbox": list(boxes.to_xywh(box)), "segmentation": segmentation}


def segmentation_of(mask: Mask) -> Any:
    """Inverse of `masks.from_coco`; a mask that no COCO file could hold is drawn, and packed into run lengths."""
    if isinstance(mask, Polygons):
        return [list(part) for part in mask.parts]
    if isinstance(mask, RunLengths):
        counts = mask.counts if isinstance(mask.counts, str) else list(mask.counts)
        return {"size": list(mask.size), "counts": counts}
    if isinstance(mask, Union) and all(isinstance(part, RunLengths) for part in mask.masks):
        return [segmentation_of(part) for part in mask.masks]
    return masks.encode(mask.draw())


def union(stated: Sequence[dict[str, Any]], size: tuple[int, int], where: str, phrases: tuple[str, ...] = ()) -> Region:
    """The region that several objects are together: the union of their masks, the box around theirs.

    It has their category where they share one, and a mask where each of them has one.

    Raises:
        ValueError: as `region`.
    """
    things = [region(facts, size, where, phrases) for facts in stated]
    if len(things) == 1:
        return things[0]
    drawn = tuple(thing.mask for thing in things if thing.mask is not None)
    categories = {thing.category for thing in things}
    return Region(
        phrases=phrases,
        category=categories.pop() if len(categories) == 1 else None,
        box=boxes.around([thing.box for thing in things if thing.box is not None]),  # each has one
        mask=masks.Union(drawn) if len(drawn) == len(things) else None,
    )
