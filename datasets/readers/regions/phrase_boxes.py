"""Phrases with a box each, one record a phrase: Flickr30k Entities as grounding programs index it, or own data.

    {"image": "a.jpg", "phrase": "the red cup", "box": [10, 20, 90, 110]}
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ullava.datasets import boxes, images
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Box, Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_records

Form = Literal["xyxy", "xywh", "inclusive", "from_one", "normalised", "thousandths", "padded_square"]


@READERS.register("phrase_boxes")
@dataclass(frozen=True)
class PhraseBoxes(TableReader):
    """One sample per picture, one region per box with all its phrases; what has no box is absent. No masks, no crowds.

    Args:
        annotations: .json or .jsonl of records.
        images: folder of the pictures.
        picture, phrase, box: keys of a record; a box that is null or empty means that there is no such thing.
        form: of the box, see datasets/boxes.py: "xyxy" corners with the second outside, "xywh" corner, width and
            height, "inclusive" corners that are both inside, "from_one" the same counted from 1, as PASCAL VOC and
            Entities write them; or corners as shares of the picture, "normalised" (0 to 1) or "thousandths" (Qwen-VL),
            or of the square that padding makes of it, "padded_square" (u-LLaVA). These three look at its size.
        scale: key of the number by which boxes are larger than the picture's pixels; None: they are its pixels.
        split: records whose `split` is this; None takes all.
        targets_only: leave out what is absent, and pictures that have nothing else.
    """

    name: str
    annotations: Path
    images: Path
    picture: str = "image"
    phrase: str = "phrase"
    box: str = "box"
    form: Form = "xyxy"
    scale: str | None = None
    split: str | None = None
    targets_only: bool = False

    def __post_init__(self):
        if self.form not in boxes.FORMS:
            raise ValueError(f"{self.name}: form: expected {', '.join(boxes.FORMS)}, found {self.form!r}")

    @cached_property
    def table(self) -> Table:
        keys = {"picture": self.picture, "phrase": self.phrase, "box": self.box, "scale": self.scale}
        return open_table(rows, self.annotations, split=self.split, targets_only=self.targets_only, **keys)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        path = inside(self.images, row.picture, sample_id)
        size = images.size_of(path) if self.form in boxes.SIZED else (0, 0)
        regions = tuple(
            Region(tuple(phrases), box=self.pixels(box, scale, size, sample_id))
            for box, scale, phrases in row.facts["boxes"]
        )
        return Sample(sample_id, (Picture(path),), regions, absent=tuple(row.facts["absent"]))

    def pixels(self, box: list[float], scale: float, size: tuple[int, int], where: str) -> Box:
        """A box as it is written, in pixels of the picture."""
        if len(box) != 4:
            raise ValueError(f"{where}: box: expected four numbers, found {box}")
        return boxes.from_xyxy([side / scale for side in boxes.FORMS[self.form](box, size)])


def rows(
    path: Path, *, picture: str, phrase: str, box: str, scale: str | None, split: str | None, targets_only: bool
) -> Iterator[TableRow]:
    """One row per picture, in the order of file names; a box and its phrases in the order of the file."""
    phrases_by_picture: dict[str, dict] = defaultdict(lambda: defaultdict(list))
    for record in read_records(path):
        if split in (None, record.get("split")):
            place = (tuple(record[box]), float(record[scale]) if scale else 1.0) if record[box] else None
            phrases = phrases_by_picture[record[picture]][place]
            if record[phrase] not in phrases:
                phrases.append(record[phrase])
    for name, places in sorted(phrases_by_picture.items()):
        absent = places.pop(None, [])
        if places or not targets_only:
            stated = [(*place, phrases) for place, phrases in places.items()]
            facts = {"boxes": stated, "absent": [] if targets_only else absent}
            yield TableRow(str(Path(name).with_suffix("")), name, facts)
