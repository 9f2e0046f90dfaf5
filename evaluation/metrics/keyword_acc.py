"""Whether a model says the right keyword (KeySeg, Sensors 2025, 25(20), 6353)."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record


@METRICS.register("keyword_acc")
class KeywordAccuracy(Additive):
    """keyword_acc = share of questions whose keyword is said, word for word, but for case and punctuation.

    A keyword that is missing, or said in an answer that cannot be read, is wrong. Questions whose annotation has no
    keyword are not counted; NaN where none has one.
    """

    reads = "text"

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        known = {plain(keyword) for keyword in truth} - {""}
        return {"known": bool(known), "right": plain(prediction or "") in known}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        rows = np.array([(record["known"], record["right"]) for record in records], np.float64).reshape(-1, 2)
        return add(rows, groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"keyword_acc": share(sums[..., 1], sums[..., 0])}


def plain(keyword: str) -> str:
    """Returns the words of a text in lower case."""
    return " ".join(re.findall(r"\w+(?:['-]\w+)*", keyword.lower()))
