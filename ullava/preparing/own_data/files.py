"""Writes own data as our readers read it: objects.json, classes.json, phrases.json, masked.json.

objects.json    all objects, in MS COCO's form
classes.json    all of a class in one mask, u-LLaVA's form of parts; of the classes of which every object has a mask
phrases.json    what is said of single objects, u-LLaVA's form of references; where phrases are given
masked.json     the same of the objects that have a mask, by phrase or by the name of a class that is there once; where
                some objects have a mask and others a box only
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets import boxes, masks
from ullava.preparing.base import write_records, write_tree
from ullava.preparing.own_data.pages import Instance, Page, drawn


def write(folder: Path, split: str, pages: Sequence[Page]) -> dict[str, str]:
    """Writes a split's files into `folder`; returns their names by what they hold."""
    instances = [instance for page in pages for instance in page.instances]
    masked = sum(bool(instance.segmentation) for instance in instances)
    phrased = any(instance.phrases for instance in instances)
    kinds = ["objects"] + ["classes"] * (masked > 0) + ["phrases"] * phrased
    kinds += ["masked"] * (0 < masked < len(instances))
    files = {kind: "_".join(filter(None, (kind, split))) + ".json" for kind in kinds}
    write_tree(folder / files["objects"], coco_tree(pages))
    if "classes" in files:
        records = [record for record in map(classes, pages) if record["classes"]]
        if write_records(folder / files["classes"], records) == 0:
            (folder / files.pop("classes")).unlink()
    if "phrases" in files:
        write_records(folder / files["phrases"], references(pages, lambda page, instance: instance.phrases))
    if "masked" in files and write_records(folder / files["masked"], references(pages, said_of_masked)) == 0:
        (folder / files.pop("masked")).unlink()
    return files


def said_of_masked(page: Page, instance: Instance) -> tuple[str, ...]:
    """How an instance with a mask is asked for; by nothing where it has none."""
    if not instance.segmentation:
        return ()
    return instance.phrases or ((instance.label,) if page.alone(instance) else ())


def coco_tree(pages: Iterable[Page]) -> dict[str, list[dict]]:
    """All objects in MS COCO's form."""
    tree: dict[str, list[dict]] = {"images": [], "annotations": [], "categories": []}
    numbers: dict[str, int] = {}
    for image, page in enumerate(pages, 1):
        height, width = page.size
        tree["images"].append({"id": image, "file_name": page.file, "height": height, "width": width})
        for instance in page.instances:
            area = int(drawn(instance, page).sum()) if instance.segmentation else boxes.area(instance.box)
            tree["annotations"].append({
                "id": len(tree["annotations"]) + 1, "image_id": image,
                "category_id": numbers.setdefault(instance.label, len(numbers) + 1), "iscrowd": 0, "area": area,
                "bbox": list(boxes.to_xywh(instance.box)), "segmentation": instance.segmentation,
            })  # fmt: skip
    tree["categories"] = [{"id": number, "name": name} for name, number in numbers.items()]
    return tree


def classes(page: Page) -> dict[str, Any]:
    """Everything of one class in one mask; a class is left out where one of its objects has a box only."""
    height, width = page.size
    boxed = {instance.label for instance in page.instances if not instance.segmentation}
    by_class: dict[str, np.ndarray] = {}
    for instance in page.instances:
        if instance.label not in boxed:
            before = by_class.setdefault(instance.label, np.zeros(page.size, bool))
            by_class[instance.label] = before | drawn(instance, page)
    annotations = []
    for mask in by_class.values():
        box = boxes.box_of(mask)
        assert box is not None, page.file  # `checked` refused what covers no pixel
        annotations.append(
            {"segmentation": masks.encode(mask), "bbox": list(boxes.to_xywh(box)), "height": height, "width": width}
        )
    return {"image_path": page.file, "classes": list(by_class), "annotations": annotations}


def references(
    pages: Iterable[Page], sentences_of: Callable[[Page, Instance], tuple[str, ...]]
) -> Iterator[dict[str, Any]]:
    """Yields a record for each object for which `sentences_of` has sentences."""
    for page in pages:
        height, width = page.size
        for instance in page.instances:
            if sentences := sentences_of(page, instance):
                yield {
                    "image_path": page.file, "height": height, "width": width, "category": instance.label,
                    "bbox": list(boxes.to_xywh(instance.box)), "segmentation": instance.segmentation,
                    "sentences": list(sentences),
                }  # fmt: skip
