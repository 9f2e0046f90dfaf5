"""Answers of yes or no to questions whether something is there.

Source: POPE (arXiv:2305.10355; RUCAIBox/POPE, evaluate.py).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record

DENIES = {"No", "no", "not"}


@METRICS.register("yes_no")
class YesNo(Additive):
    """The first sentence of an answer denies by "no", "No" or "not", as the published program reads it, or affirms.

    accuracy = share of right answers; of "yes": presence_precision = TP / (TP + FP), presence_recall = TP / (TP + FN),
    presence_F1 = 2 TP / (2 TP + FP + FN); yes = share of answers that affirm, which tells a model that always agrees.
    """

    reads = "text"

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        """Compares what is said with the first reference; silence affirms nothing and is wrong.

        Raises:
            ValueError: the reference is neither yes nor no.
        """
        meant = truth[0].strip().lower()
        if meant not in ("yes", "no"):
            raise ValueError(f"yes_no: expected a truth of yes or no, found {truth[0]!r}; take metric vqa_accuracy")
        answer = prediction or ""
        return {"said": affirms(answer) if answer.strip() else None, "meant": meant == "yes"}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        pairs = [(record["said"], record["meant"]) for record in records]
        kinds = ((True, True), (True, False), (False, True), (False, False), (None, True), (None, False))
        rows = np.array([[pair == kind for kind in kinds] for pair in pairs], np.float64)
        return add(rows.reshape(-1, len(kinds)), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        right, false, missed, rejected, silent, _ = np.moveaxis(sums, -1, 0)
        seen, missed = sums.sum(-1), missed + silent
        return {
            "accuracy": share(right + rejected, seen),
            "presence_precision": share(right, right + false),
            "presence_recall": share(right, right + missed),
            "presence_F1": share(2 * right, 2 * right + false + missed),
            "yes": share(right + false, seen),
        }


def affirms(answer: str) -> bool:
    """Whether the first sentence of an answer does not deny."""
    return not DENIES & set(answer.partition(".")[0].replace(",", "").split(" "))
