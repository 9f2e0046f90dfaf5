"""GQA's questions: one mapping from question id to question (arXiv:1902.09506).

    {"201307251": {"imageId": "2386621", "question": "What is on the table?", "answer": "cup"}}
"""

from collections import defaultdict
from dataclasses import dataclass

from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.texts.picture_questions import PictureQuestions
from ullava.datasets.tables import TableRow, read_object


@READERS.register("gqa")
@dataclass(frozen=True)
class Gqa(PictureQuestions):
    """Questions in the order of their ids, each with one answer.

    Args:
        questions: *_questions.json of {question id: {imageId, question, answer}}.
        images: folder of <imageId>.jpg.
    """

    @staticmethod
    def rows(path):
        turns_of = defaultdict(list)
        for _, asked in sorted(read_object(path).items()):
            turns_of[asked["imageId"]].append((asked["question"], [asked["answer"]]))
        for picture in sorted(turns_of):
            yield TableRow(picture, picture, {"turns": turns_of[picture]})
