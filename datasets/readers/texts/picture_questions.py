"""What files of questions about pictures have in common: a record a picture, its questions and their answers."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Table, TableRow, open_table


@dataclass(frozen=True)
class PictureQuestions(TableReader):
    """One sample per picture, one turn per question: the most frequent answer, all answers as references.

    Args:
        questions: the file.
        images: folder of <picture id>.jpg.
    """

    name: str
    questions: Path
    images: Path

    @staticmethod
    @abstractmethod
    def rows(path: Path) -> Iterator[TableRow]:
        """One row per picture, its facts {"turns": [(question, answers), ...]}."""

    @cached_property
    def table(self) -> Table:
        return open_table(self.rows, self.questions)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        turns = tuple(
            Turn(question, Counter(answers).most_common(1)[0][0], tuple(answers))
            for question, answers in row.facts["turns"]
        )
        return Sample(sample_id, (Picture(inside(self.images, f"{row.id}.jpg", sample_id)),), turns=turns)
