"""u-LLaVA's JSON for parts of objects: PASCAL-Part and PACO-LVIS (github.com/OPPOMKLab/u-LLaVA, dataset/).

    {"image_path": "a.jpg", "classes": ["dog", "dog:head"], "annotations": [
        {"segmentation": [[10, 20, 90, 20, 90, 110]], "bbox": [10, 20, 80, 90], "height": 480, "width": 640},
        {"segmentation": [[10, 20, 40, 20, 40, 60]], "bbox": [10, 20, 30, 40], "height": 480, "width": 640}]}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_records


@READERS.register("ullava_parts")
@dataclass(frozen=True)
class UllavaParts(TableReader):
    """One sample per record, one region per object or part, by its name.

    Args:
        annotations: .json or .jsonl of {image_path, classes: [name, ...], annotations: [{segmentation, bbox, height,
            width}, ...]}, one name for each annotation.
        images: folder from which `image_path` counts.
    """

    name: str
    annotations: Path
    images: Path

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        regions = tuple(coco.region(stated, size, sample_id) for stated in row.facts["objects"])
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id), size),), regions)


def rows(path: Path) -> Iterator[TableRow]:
    """One row per record that has objects; its id is the picture's stem and the record's place in the file."""
    for number, record in enumerate(read_records(path)):
        names, annotations = record["classes"], record["annotations"]
        if len(names) != len(annotations):
            raise ValueError(
                f"{path}: record {number}: {len(names)} names for {len(annotations)} objects; expected one each"
            )
        if annotations:
            objects = [
                {"category": name, "bbox": thing["bbox"], "segmentation": thing["segmentation"]}
                for name, thing in zip(names, annotations, strict=True)
            ]
            facts = {"size": [annotations[0]["height"], annotations[0]["width"]], "objects": objects}
            yield TableRow(f"{Path(record['image_path']).stem}.{number}", record["image_path"], facts)
