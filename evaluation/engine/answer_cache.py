"""Answers that rows share: rows that differ in nothing but where boxes come from ask a model once.

So they are scored on the very same answers, sampled ones too, and a contest of four sources costs one generation.
"""

from collections.abc import Sequence

import numpy as np

from ullava.configs.schema import EvaluationRow
from ullava.datasets.structures import Answer, Dialogue
from ullava.evaluation.engine.rows import Answerer

BUDGET = 2**31  # bytes of predictions that are kept; what is beyond is asked again


def same_questions(row: EvaluationRow, other: EvaluationRow | None) -> bool:
    """Whether two rows ask the same questions for the same answers."""
    bare = {"boxes": None, "trivial": None}
    return other is not None and row.model_copy(update=bare) == other.model_copy(update=bare)


class AnswerCache:
    """An answerer that keeps its answers while the next row wants them.

    Args:
        answerer: who is asked.
        rows: of the evaluation, in their order.
    """

    def __init__(self, answerer: Answerer, rows: Sequence[EvaluationRow]):
        self.answerer, self.rows, self.generation = answerer, rows, answerer.generation
        self.kept: dict[str, Answer] = {}
        self.bytes, self.keeps = 0, False

    def begin(self, number: int) -> None:
        """Tells the cache which row's questions come next."""
        before = self.rows[number - 1] if number else None
        after = self.rows[number + 1] if number + 1 < len(self.rows) else None
        if not same_questions(self.rows[number], before):
            self.kept, self.bytes = {}, 0
        self.keeps = same_questions(self.rows[number], after)

    def __call__(self, dialogues: Sequence[Dialogue], *, given: bool) -> list[Answer]:
        """Answers dialogues in order; asks for whole batches, since padding may change an answer's bits."""
        if all(dialogue.id in self.kept for dialogue in dialogues):
            return [self.kept[dialogue.id] for dialogue in dialogues]
        answers = self.answerer(dialogues, given=given)
        if self.keeps:
            for dialogue, answer in zip(dialogues, answers, strict=True):
                self.keep(dialogue.id, answer)
        return answers

    def keep(self, name: str, answer: Answer) -> None:
        """Keeps an answer while there is room."""
        size = sum(np.asarray(array).nbytes for arrays in answer.predictions.values() for array in arrays)
        if self.bytes + size <= BUDGET:
            self.kept[name], self.bytes = answer, self.bytes + size
