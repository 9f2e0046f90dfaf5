"""TextVQA's questions about writing in pictures, ten answers each (arXiv:1904.08920).

    {"data": [{"image_id": "0054c91397f2fe05", "question": "what is the brand?", "answers": ["acme", "acme", ...]}]}
"""

from collections import defaultdict
from dataclasses import dataclass

from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.texts.picture_questions import PictureQuestions
from ullava.datasets.tables import TableRow, read_object


@READERS.register("text_vqa")
@dataclass(frozen=True)
class TextVqa(PictureQuestions):
    """Questions in the order of the file.

    Args:
        questions: TextVQA_*.json of {data: [{image_id, question, answers}]}; its test file has no answers.
        images: folder of <image_id>.jpg.
    """

    @staticmethod
    def rows(path):
        turns_of = defaultdict(list)
        for asked in read_object(path, "data")["data"]:
            turns_of[asked["image_id"]].append((asked["question"], asked["answers"]))
        for picture in sorted(turns_of):
            yield TableRow(picture, picture, {"turns": turns_of[picture]})
