"""POPE's questions whether a thing is in the picture, answered by yes or no (arXiv:2305.10355).

    {"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a cup in the image?", "label": "no"}
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Table, TableRow, open_table, read_lines


@READERS.register("pope")
@dataclass(frozen=True)
class Pope(TableReader):
    """One sample per picture, one turn per question, in the file's order.

    Args:
        questions: coco_pope_*.json, a record a line: {question_id, image, text, label}.
        images: folder of the pictures.
        pattern: file name of a picture, with the number at the end of `image` in the braces; None: as `image` says.
    """

    name: str
    questions: Path
    images: Path
    pattern: str | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.questions)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, file = f"{self.name}/{row.id}", row.picture
        if self.pattern:
            number = re.search(r"(\d+)$", row.id)
            if number is None:
                raise ValueError(f"{sample_id}: {file!r} has no number for the pattern {self.pattern!r}")
            file = self.pattern.format(int(number[0]))
        turns = tuple(Turn(question, answer, (answer,)) for question, answer in row.facts["turns"])
        return Sample(sample_id, (Picture(inside(self.images, file, sample_id)),), turns=turns)


def rows(path: Path) -> Iterator[TableRow]:
    """One row per picture, in the order of their first questions."""
    turns_of = defaultdict(list)
    for number, asked in enumerate(read_lines(path), 1):
        if asked["label"] not in ("yes", "no"):
            raise ValueError(f"{path}:{number}: label: expected yes or no, found {asked['label']!r}")
        turns_of[asked["image"]].append((asked["text"], asked["label"]))
    for picture, turns in turns_of.items():
        yield TableRow(Path(picture).stem, picture, {"turns": turns})
