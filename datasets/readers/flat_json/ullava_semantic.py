"""u-LLaVA's JSON for semantic segmentation: ADE20K and COCO-Stuff (github.com/OPPOMKLab/u-LLaVA, dataset/).

    {"image_path": "images/a.jpg", "label_path": "labels/a.png", "classes": [{"class": "wall", "class_id": 0}]}
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.formats.mask_pictures import LabelPixels
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.readers.flat_json import ullava_json
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Table, open_table


@READERS.register("ullava_semantic")
@dataclass(frozen=True)
class UllavaSemantic(TableReader):
    """One sample per record, one region for each class that the record says is present; no label map is opened for it.

    Args:
        annotations: .json or .jsonl of {image_path, label_path, classes: [{class, class_id}, ...]}.
        images: folder from which `image_path` counts.
        labels: folder from which `label_path` counts; None: the same.
        first_id: pixel value of the class 0: 1 for ADE20K, whose 0 is no class, 0 for COCO-Stuff.
        void: pixel values that belong to no class and count nowhere.
    """

    name: str
    annotations: Path
    images: Path
    labels: Path | None = None
    first_id: int = 0
    void: tuple[int, ...] = ()

    @cached_property
    def table(self) -> Table:
        return open_table(ullava_json.records, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        label = inside(self.labels or self.images, row.facts["label_path"], sample_id)
        regions = tuple(
            Region(category=stated["class"], mask=LabelPixels(label, (stated["class_id"] + self.first_id,)))
            for stated in row.facts["classes"]
        )
        ignored = LabelPixels(label, self.void) if self.void else None
        picture = Picture(inside(self.images, row.picture, sample_id))
        return Sample(sample_id, (picture,), regions, ignored=ignored)
