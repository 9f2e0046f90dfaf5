"""TextVQA's questions about writing in pictures, ten answers each (arXiv:1904.08920)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Row, Table, open_table, read_object


@READERS.register("text_vqa")
@dataclass(frozen=True)
class TextVqa(TableReader):
    """One sample per picture, one turn per question: the most frequent answer, all answers as references.

    Args:
        questions: TextVQA_*.json of {data: [{image_id, question, answers}]}; its test file has no answers.
        images: folder of <image_id>.jpg.
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
        turns = tuple(
            Turn(question, Counter(answers).most_common(1)[0][0], tuple(answers))
            for question, answers in row.facts["turns"]
        )
        return Sample(sample_id, (Picture(inside(self.images, f"{row.id}.jpg", sample_id)),), turns=turns)


def rows(path: Path) -> Iterator[Row]:
    """One row per picture, in the order of picture ids."""
    found = defaultdict(list)
    for asked in read_object(path, "data")["data"]:
        found[asked["image_id"]].append((asked["question"], asked["answers"]))
    for picture in sorted(found):
        yield Row(picture, picture, {"turns": found[picture]})
