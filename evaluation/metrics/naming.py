"""Whether an explanation names what it explains: a reason has many wordings, the thing has a name."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record

WORD = re.compile(r"\w+")


@METRICS.register("naming")
class Naming(Additive):
    """names_object = share of explanations that say the object's name, any of its true ones, as whole words.

    No explanation is wrong. Objects that nobody named are not counted; NaN where none has a name.
    """

    reads = "text"

    def measure(
        self, prediction: str | None, truth: Sequence[str], *, category: str | None = None, ignored: Any = None
    ) -> Record:
        names, words = {spaced(name) for name in truth} - {spaced("")}, spaced(prediction or "")
        return {"known": bool(names), "named": any(name in words for name in names)}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        rows = np.array([(record["known"], record["named"]) for record in records], np.float64).reshape(-1, 2)
        return add(rows, groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        return {"names_object": share(sums[..., 1], sums[..., 0])}


def spaced(text: str) -> str:
    """Returns the words of a text in lower case, with a space around each."""
    return f" {' '.join(WORD.findall(text.lower()))} "
