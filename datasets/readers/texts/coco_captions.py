"""Captions in MS COCO's JSON (arXiv:1504.00325).

    {"images": [{"id": 7, "file_name": "a.jpg", "height": 480, "width": 640}],
     "annotations": [{"image_id": 7, "caption": "A cup on a table."}]}
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Table, open_table


@READERS.register("coco_captions")
@dataclass(frozen=True)
class CocoCaptions(TableReader):
    """One sample per picture, all its captions in one turn without a question.

    Args:
        annotations: captions_*.json.
        images: folder from which `file_name` counts.
    """

    name: str
    annotations: Path
    images: Path

    @cached_property
    def table(self) -> Table:
        return open_table(coco.captions, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        picture = Picture(inside(self.images, row.facts["file"], sample_id), tuple(row.facts["size"]))
        captions = tuple(row.facts["captions"])
        return Sample(sample_id, (picture,), turns=(Turn("", captions[0], captions),))
