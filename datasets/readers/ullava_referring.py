"""u-LLaVA's flat JSON for RES and REC: one record per object (github.com/OPPOMKLab/u-LLaVA, dataset/)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, Reader, inside
from ullava.datasets.structures import Picture, Sample
from ullava.datasets.tables import Row, Table, open_table, read_records


@READERS.register("ullava_referring")
@dataclass(frozen=True)
class UllavaReferring(Reader):
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
        return open_table(rows, self.annotations)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", (row.facts["height"], row.facts["width"])
        region = coco.region(row.facts, size, tuple(row.facts["sentences"]))
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id), size),), (region,))


def rows(path: Path) -> Iterator[Row]:
    """One row per record; its id is the picture's stem and the record's place in the file."""
    for number, record in enumerate(read_records(path)):
        yield Row(f"{Path(record['image_path']).stem}.{number}", record["image_path"], record)
