"""u-LLaVA's flat JSON for RES and REC: one record per object (github.com/OPPOMKLab/u-LLaVA, dataset/).

    {"image_path": "a.jpg", "height": 480, "width": 640, "category": "cup", "bbox": [10, 20, 80, 90],
     "segmentation": [[10, 20, 90, 20, 90, 110, 10, 110]], "sentences": ["the cup on the left"]}
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.readers.flat_json import ullava_json
from ullava.datasets.structures import Picture, Sample
from ullava.datasets.tables import Table, open_table


@READERS.register("ullava_referring")
@dataclass(frozen=True)
class UllavaReferring(TableReader):
    """One sample per record: one object, the sentences for it. A record without segmentation has a box only.

    Args:
        annotations: .json or .jsonl of {image_path, height, width, category, bbox, segmentation, sentences}.
        images: folder from which `image_path` counts.
    """

    name: str
    annotations: Path
    images: Path

    @cached_property
    def table(self) -> Table:
        return open_table(ullava_json.records, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", (row.facts["height"], row.facts["width"])
        region = coco.region(row.facts, size, sample_id, tuple(row.facts["sentences"]))
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id), size),), (region,))
