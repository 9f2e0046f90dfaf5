"""Panoptic segments in MS COCO's format: a JSON, and a picture whose colours are segments (arXiv:1801.00868).

    {"images": [{"id": 7, "file_name": "a.jpg", "height": 480, "width": 640}],
     "categories": [{"id": 1, "name": "cup", "isthing": 1}],
     "annotations": [{"image_id": 7, "file_name": "a.png",
                      "segments_info": [{"id": 3226956, "category_id": 1, "bbox": [10, 20, 80, 90], "iscrowd": 0}]}]}

A segment's `id` is the colour of its pixels, red + 256 green + 65536 blue.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ullava.datasets import boxes
from ullava.datasets.formats.panoptic import VOID, SegmentPixels
from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_object


@READERS.register("coco_panoptic")
@dataclass(frozen=True)
class CocoPanoptic(TableReader):
    """One sample per picture, one region per segment, thing or stuff; crowds and void are ignored pixels.

    Args:
        annotations: panoptic_*.json.
        segments: folder of the coloured pictures.
        images: folder of the pictures.
        classes: category names, one a line. With it, one region per category, crowds too, and of these names those that
            are not there as absent: what semantic segmentation asks.
        unique_categories: keep only segments whose category is there once, and say them by its name.
    """

    name: str
    annotations: Path
    segments: Path
    images: Path
    classes: Path | None = None
    unique_categories: bool = False

    @cached_property
    def table(self) -> Table:
        kept = {"unique_categories": self.unique_categories, "crowds": self.classes is not None}
        return open_table(rows, self.annotations, **kept)

    @cached_property
    def names(self) -> list[str]:
        """All that may be absent."""
        lines = self.classes.read_text(encoding="utf-8").splitlines() if self.classes else []
        return [line.strip() for line in lines if line.strip() not in ("", "-")]

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size, segments = f"{self.name}/{row.id}", tuple(row.facts["size"]), row.facts["segments"]
        picture = Picture(inside(self.images, row.facts["file"], sample_id), size)
        path = inside(self.segments, row.facts["segments_file"], sample_id)
        if self.classes:
            return self.by_category(sample_id, picture, path, segments)
        regions = tuple(
            Region(
                phrases=(segment["category"],) if self.unique_categories else (),
                category=segment["category"],
                box=boxes.from_xywh(segment["bbox"]),
                mask=SegmentPixels(path, (segment["id"],)),
            )
            for segment in segments
        )
        return Sample(sample_id, (picture,), regions, ignored=SegmentPixels(path, (VOID, *row.facts["ignored"])))

    def by_category(self, sample_id: str, picture: Picture, path: Path, segments: list[dict[str, Any]]) -> Sample:
        """The sample with one region per category."""
        numbers = defaultdict(list)
        for segment in segments:
            numbers[segment["category"]].append(segment["id"])
        regions = tuple(Region(category=name, mask=SegmentPixels(path, tuple(own))) for name, own in numbers.items())
        absent = tuple(name for name in self.names if name not in numbers)
        return Sample(sample_id, (picture,), regions, absent, ignored=SegmentPixels(path, (VOID,)))


def rows(path: Path, *, unique_categories: bool, crowds: bool) -> Iterator[TableRow]:
    """One row per picture that has segments left, in the order of file names."""
    tree = read_object(path, "images", "annotations", "categories")
    names = {category["id"]: category["name"] for category in tree["categories"]}
    annotated = {annotation["image_id"]: annotation for annotation in tree["annotations"]}
    for identity, picture in coco.pictures(tree).items():
        segment_infos = annotated[identity]["segments_info"] if identity in annotated else []
        present = Counter(segment["category_id"] for segment in segment_infos)  # a crowd is there, too
        left_out = [segment["id"] for segment in segment_infos if segment.get("iscrowd") and not crowds]
        segments = [
            {"id": segment["id"], "category": names[segment["category_id"]], "bbox": segment["bbox"]}
            for segment in segment_infos
            if segment["id"] not in left_out and (present[segment["category_id"]] == 1 or not unique_categories)
        ]
        if segments:
            more = {"segments_file": annotated[identity]["file_name"], "segments": segments, "ignored": left_out}
            yield TableRow(str(identity), picture["file"], picture | more)
