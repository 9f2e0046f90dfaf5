"""Objects in MS COCO's JSON, as LabelStudio, Roboflow, FiftyOne and others export them (cocodataset.org)."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ullava.datasets import boxes, masks
from ullava.datasets.readers import coco
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Box
from ullava.datasets.tables import read_object
from ullava.preparing.own_data.pages import Instance, Page, Split, measured, phrases_in

Annotation = Mapping


def read_coco(source: Path, pictures: Path | None, phrase: str) -> Iterator[Split]:
    """Yields the one split of a JSON file. Crowds are left out, as in training on MS COCO itself.

    Args:
        pictures: their folder; None: where `source` lies.
        phrase: key of an annotation that says which object it is.

    Raises:
        ValueError: objects of a picture or a category that is not there.
    """
    tree = read_object(source, "images", "annotations", "categories")
    names = {category["id"]: category["name"] for category in tree["categories"]}
    known = {image["id"] for image in tree["images"]}
    by_image: defaultdict[int, list[Annotation]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for annotation in tree["annotations"]:
        if annotation["image_id"] not in known or annotation["category_id"] not in names:
            raise ValueError(
                f"{source}: object {annotation.get('id')}: there is no picture {annotation['image_id']} or no category "
                f"{annotation['category_id']}; export it again"
            )
        if annotation.get("iscrowd"):
            left_out["crowd (iscrowd: 1)"] += 1
        else:
            by_image[annotation["image_id"]].append(annotation)
    folder = pictures or source.parent
    pages = (page(image, by_image[image["id"]], names, folder, source, phrase) for image in tree["images"])
    yield Split("", folder, pages, left_out)


def page(
    image: Mapping, annotations: Sequence[Annotation], names: dict[int, str], folder: Path, source: Path, phrase: str
) -> Page:
    """One picture with its objects."""
    where = f"{source}: image {image['id']}"
    file = image["file_name"]
    size = measured(inside(folder, file, where), (image["height"], image["width"]), where)
    instances = []
    for annotation in annotations:
        place = f"{where}, object {annotation.get('id')}"
        whole = {"segmentation": [], **annotation}
        whole["bbox"] = annotation.get("bbox") or list(boxes.to_xywh(box_of(whole["segmentation"], size, place)))
        region = coco.region(coco.thing(whole, names), size, place)  # checks it
        segmentation = coco.segmentation_of(region.mask) if region.mask else ()
        box = region.box if region.box and whole["bbox"][2] > 0 else box_of(segmentation, size, place)
        label = names[annotation["category_id"]]
        instances.append(Instance(label, box, segmentation, phrases_in(annotation.get(phrase))))
    return Page(file, size, tuple(instances))


def box_of(segmentation: object, size: tuple[int, int], where: str) -> Box:
    """The box around the mask of an object that states none.

    Raises:
        ValueError: there is no pixel of a mask either.
    """
    mask = masks.from_coco(segmentation, size)
    box = boxes.box_of(mask.draw()) if mask else None
    if box is None:
        raise ValueError(f"{where}: expected a bbox or a segmentation, found neither; draw it again, or delete it")
    return box
