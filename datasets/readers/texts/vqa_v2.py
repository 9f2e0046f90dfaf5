"""Questions with ten people's answers: VQA v2 (arXiv:1612.00837), and OK-VQA in the same two files.

    questions       {"questions": [{"question_id": 70, "image_id": 7, "question": "What is on the table?"}]}
    annotations     {"annotations": [{"question_id": 70, "image_id": 7, "answers": [{"answer": "cup"}, ...]}]}
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Table, TableRow, open_table, read_object


@READERS.register("vqa_v2")
@dataclass(frozen=True)
class VqaV2(TableReader):
    """One sample per picture, one turn per question: the most frequent answer, all answers as references.

    Args:
        questions: *_questions.json.
        annotations: *_annotations.json.
        images: folder of the pictures.
        pattern: file name of a picture, with its `image_id` in the braces.
    """

    name: str
    questions: Path
    annotations: Path
    images: Path
    pattern: str = "COCO_train2014_{:012d}.jpg"

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.questions, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        picture = Picture(inside(self.images, self.pattern.format(int(row.id)), sample_id))
        turns = tuple(Turn(question, answer, tuple(answers)) for question, answer, answers in row.facts["turns"])
        return Sample(sample_id, (picture,), turns=turns)


def rows(questions: Path, annotations: Path) -> Iterator[TableRow]:
    """One row per picture, in the order of picture ids."""
    answered = {a["question_id"]: a for a in read_object(annotations, "annotations")["annotations"]}
    turns_of = defaultdict(list)
    for asked in read_object(questions, "questions")["questions"]:
        if asked["question_id"] not in answered:
            raise ValueError(f"{annotations}: no answers to question {asked['question_id']} of {questions}")
        given = answered[asked["question_id"]]
        answers = [answer["answer"] for answer in given["answers"]]
        turns_of[asked["image_id"]].append((asked["question"], given["multiple_choice_answer"], answers))
    for identity in sorted(turns_of):
        yield TableRow(str(identity), str(identity), {"turns": turns_of[identity]})
