"""Objects in MS COCO's JSON: boxes, and masks as polygons or run lengths (arXiv:1405.0312).

    {"images": [{"id": 7, "file_name": "a.jpg", "height": 480, "width": 640}],
     "categories": [{"id": 1, "name": "cup"}],
     "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 80, 90], "area": 7200, "iscrowd": 0,
                      "segmentation": [[10, 20, 90, 20, 90, 110, 10, 110]]}]}
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample
from ullava.datasets.tables import Table, open_table


@READERS.register("coco_instances")
@dataclass(frozen=True)
class CocoInstances(TableReader):
    """One sample per picture, one region per object; crowds are left out.

    Args:
        annotations: instances_*.json.
        images: folder from which `file_name` counts.
        unique_categories: keep only objects whose category is there once, and say them by its name: the name then is
            a referring phrase. Pictures without such an object are left out.
        smallest: share of its picture that an object has to cover, 0 to 1; others are left out.
    """

    name: str
    annotations: Path
    images: Path
    unique_categories: bool = False
    smallest: float = 0.0

    @cached_property
    def table(self) -> Table:
        kept = {"unique_categories": self.unique_categories, "smallest": self.smallest}
        return open_table(coco.instances, self.annotations, **kept)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        regions = tuple(
            coco.region(stated, size, sample_id, (stated["category"],) if self.unique_categories else ())
            for stated in row.facts["objects"]
        )
        return Sample(sample_id, (Picture(inside(self.images, row.facts["file"], sample_id), size),), regions)
