"""GQA's questions: one mapping from question id to question (arXiv:1902.09506)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Row, Table, open_table, read_object


@READERS.register("gqa")
@dataclass(frozen=True)
class Gqa(TableReader):
    """One sample per picture, one turn per question, in the order of question ids.

    Args:
        questions: *_questions.json of {question id: {imageId, question, answer}}.
        images: folder of <imageId>.jpg.
    """

    name: str
    questions: Path
    images: Path

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.questions)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        turns = tuple(Turn(question, answer, (answer,)) for question, answer in row.facts["turns"])
        return Sample(sample_id, (Picture(inside(self.images, f"{row.id}.jpg", sample_id)),), turns=turns)


def rows(path: Path) -> Iterator[Row]:
    """One row per picture, in the order of picture ids."""
    found = defaultdict(list)
    for _, asked in sorted(read_object(path).items()):
        found[asked["imageId"]].append((asked["question"], asked["answer"]))
    for picture in sorted(found):
        yield Row(picture, picture, {"turns": found[picture]})
