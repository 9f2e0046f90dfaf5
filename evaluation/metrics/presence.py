"""Whether a model knows which of the things asked for are there (LaSagnA's negatives)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record

COUNTS = ("TP", "FP", "FN", "TN")


@METRICS.register("presence")
class Presence(Additive):
    """Over all names asked for in all questions, positive = "it is there":

    presence_precision = TP / (TP + FP), presence_recall = TP / (TP + FN), presence_F1 = 2 TP / (2 TP + FP + FN). A name
    that the answer leaves out counts as "not there"; one that nobody asked for and that is called there is an FP. NaN
    where nothing was called there (precision) or is there (recall).
    """

    reads = "names"

    def measure(
        self,
        prediction: Sequence[str] | None,
        truth: tuple[Sequence[str], Sequence[str]],
        *,
        category: str | None = None,
        ignored: Any = None,
    ) -> Record:
        """Compares the names that an answer calls there with (those that are, those asked for that are not)."""
        named, there, absent = set(prediction or ()), set(truth[0]), set(truth[1]) - set(truth[0])
        return {"TP": len(named & there), "FP": len(named - there), "FN": len(there - named), "TN": len(absent - named)}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        rows = np.array([[record[key] for key in COUNTS] for record in records], np.float64)
        return add(rows.reshape(-1, len(COUNTS)), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        right, false, missed, _ = np.moveaxis(sums, -1, 0)
        return {
            "presence_precision": share(right, right + false),
            "presence_recall": share(right, right + missed),
            "presence_F1": share(2 * right, 2 * right + false + missed),
        }
