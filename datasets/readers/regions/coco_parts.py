"""Objects and their parts in MS COCO's JSON: PACO-LVIS (arXiv:2301.01795), PASCAL-Part as VLPart has it.

A category is an object, "mouse_(computer_equipment)", or one of its parts, "mouse_(computer_equipment):left_button".

    {"images": [{"id": 7, "file_name": "a.jpg", "height": 480, "width": 640}],
     "categories": [{"id": 1, "name": "mug"}, {"id": 2, "name": "mug:handle"}],
     "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "bbox": [80, 30, 10, 40], "area": 400,
                      "segmentation": [[80, 30, 90, 30, 90, 70, 80, 70]]}]}
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.formats import part_names
from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_object


@READERS.register("coco_parts")
@dataclass(frozen=True)
class CocoParts(TableReader):
    """One sample per picture, one region per category in it, by every phrase for it: all that the phrase means.

    LISA asks for each object by itself, so that one question has as many answers as there are such objects. Boxes are
    those of the masks: VLPart's are a pixel short.

    Args:
        annotations: paco_lvis_v1_*.json, or VLPart's pascal_part/*.json.
        images: folder from which `file_name` counts.
        whole: whether regions of whole objects are kept beside those of parts.
    """

    name: str
    annotations: Path
    images: Path
    whole: bool = True

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations, whole=self.whole)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        regions = []
        for phrases, things in row.facts["said"]:
            regions.append(Region(tuple(phrases), phrases[0], mask=coco.union(things, size, sample_id).mask))
        picture = Picture(inside(self.images, row.facts["file"], sample_id), size)
        return Sample(sample_id, (picture,), tuple(regions))


def rows(path: Path, *, whole: bool) -> Iterator[TableRow]:
    """One row per picture that has regions, in the order of file names; crowds and what has no mask are left out."""
    tree = read_object(path, "images", "annotations", "categories")
    names = {category["id"]: category["name"] for category in tree["categories"]}
    things_by_picture: dict[int, dict[tuple[str, ...], list]] = defaultdict(lambda: defaultdict(list))
    for annotation in tree["annotations"]:
        name = names[annotation["category_id"]]
        if annotation["segmentation"] and not annotation.get("iscrowd") and (whole or ":" in name):
            things_by_picture[annotation["image_id"]][phrases_for(name)].append(coco.thing(annotation, names))
    for identity, picture in coco.pictures(tree).items():
        if identity in things_by_picture:
            things = list(things_by_picture[identity].items())
            yield TableRow(str(identity), picture["file"], picture | {"said": things})


def phrases_for(name: str) -> tuple[str, ...]:
    """Ways to say a category: "mouse"; "left button of the mouse", "mouse left button" (LISA's two)."""
    name = name.replace("pottedplant", "potted plant")  # as VLPart's JSON has it from VOC
    if named := part_names.split(name):
        part, thing = named
        return part_names.join(part, thing), f"{thing} {part}"
    return (name.split("_(")[0].replace("_", " "),)
