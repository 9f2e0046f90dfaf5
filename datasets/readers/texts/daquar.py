"""DAQUAR's questions about indoor scenes, as text or as CSV (arXiv:1410.0210).

    question,answer,image_id                                    .csv
    what is on the table,"cup, plate",image7

    what is on the table in the image7 ?                        .txt
    cup, plate
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import by_stem
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Table, TableRow, open_table

ASKED = re.compile(r"(?P<question>.+?)\s+(?:in|on|of)?\s*(?:the\s+)?(?P<picture>image\d+)\s*\?*\s*$")


@READERS.register("daquar")
@dataclass(frozen=True)
class Daquar(TableReader):
    """One sample per picture, one turn per question; an answer may be a list, "comforter, pillow".

    Args:
        questions: .csv with the columns question, answer, image_id, or the original .txt: a question that ends in
            "in the image7 ?" and its answer on alternate lines.
        images: folder of image7.png and so on.
        listed: text file with the names of the pictures that belong to the split, one a line; None: all.
    """

    name: str
    questions: Path
    images: Path
    listed: Path | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.questions, *([self.listed] if self.listed else []))

    @cached_property
    def pictures(self) -> dict[str, Path]:
        return by_stem(self.images)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        if row.picture not in self.pictures:
            raise FileNotFoundError(f"{sample_id}: {self.images} has no picture {row.picture}")
        turns = tuple(Turn(question, answer, (answer,)) for question, answer in row.facts["turns"])
        return Sample(sample_id, (Picture(self.pictures[row.picture]),), turns=turns)


def rows(questions: Path, listed: Path | None = None) -> Iterator[TableRow]:
    """One row per picture, in the order of names."""
    chosen = set(listed.read_text(encoding="utf-8").split()) if listed else None
    turns_of = defaultdict(list)
    for picture, question, answer in (from_csv if questions.suffix == ".csv" else from_text)(questions):
        if chosen is None or picture in chosen:
            turns_of[picture].append((question, answer))
    for picture in sorted(turns_of):
        yield TableRow(picture, picture, {"turns": turns_of[picture]})


def from_csv(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yields (picture, question, answer)."""
    with path.open(newline="", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            yield record["image_id"].strip(), record["question"].strip(), record["answer"].strip()


def from_text(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yields (picture, question, answer); the question without the picture's name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number in range(0, len(lines) - 1, 2):
        match = ASKED.match(lines[number])
        if not match:
            raise ValueError(f"{path}:{number + 1}: expected a question that ends in 'in the imageN ?'")
        yield match["picture"], match["question"].strip(), lines[number + 1].strip()
