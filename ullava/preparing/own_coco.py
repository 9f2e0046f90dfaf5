"""Objects in MS COCO's JSON, as LabelStudio, Roboflow, FiftyOne and others export them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ullava.datasets import boxes
from ullava.datasets.readers import coco
from ullava.datasets.readers.files import inside
from ullava.datasets.tables import read_object
from ullava.preparing.own_pages import Instance, Page, Split, measured, said


def read_coco(source: Path, pictures: Path | None, phrase: str) -> Iterator[Split]:
    """Yields the one split of a JSON file. Crowds are left out, as in training on MS COCO itself.

    Raises:
        ValueError: objects of a picture or a category that is not there.
    """
    tree = read_object(source, "images", "annotations", "categories")
    names = {category["id"]: category["name"] for category in tree["categories"]}
    found = defaultdict(list)
    known = {image["id"] for image in tree["images"]}
    for stated in tree["annotations"]:
        if stated["image_id"] not in known or stated["category_id"] not in names:
            raise ValueError(
                f"{source}: object {stated.get('id')}: there is no picture {stated['image_id']} or no category "
                f"{stated['category_id']}; export it again"
            )
        if not stated.get("iscrowd"):
            found[stated["image_id"]].append(stated)
    folder = pictures or source.parent
    yield Split(
        "", folder, (page(image, found[image["id"]], names, folder, source, phrase) for image in tree["images"])
    )


def page(
    image: Mapping, stated: list[Mapping], names: Mapping[int, str], folder: Path, source: Path, phrase: str
) -> Page:
    """One picture."""
    where = f"{source}: image {image['id']}"
    file = image["file_name"]
    size = measured(inside(folder, file, where), (image["height"], image["width"]), where)
    instances = []
    for one in stated:
        place = f"{where}, object {one.get('id')}"
        region = coco.region(coco.thing({"segmentation": [], **one}, names), size, place)  # checks it
        segmentation = coco.segmentation_of(region.mask) if region.mask else ()
        box = region.box if one["bbox"][2] > 0 else boxes.box_of(region.mask.draw())
        instances.append(Instance(region.category, box, segmentation, said(one.get(phrase))))
    return Page(file, size, tuple(instances))
