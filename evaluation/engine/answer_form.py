"""Whether answers keep their form, counted for every row beside what the answers are worth."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ullava.configs.tokens import NEG, SEG
from ullava.datasets.structures import OWNER_PATTERN
from ullava.evaluation.metrics.additive import Additive, add, share


@dataclass(frozen=True)
class AnswerForm(Additive):
    """emission = share of answers that say each owner token as often as promised;
    unparseable = share of answers that the task's grammar cannot read.

    Args:
        by_name: an answer says of each name whether it is there, and so how many [SEG] there are is the model's to
            decide: emission counts [SEG] and [NEG] together (`presence` says which of the two were right).
    """

    by_name: bool = False

    name = "form"
    reads = "answer"

    def measure(self, prediction, truth, *, category=None, ignored=None):
        """Compares an answer (its text, and whether its task could read it) with the written one."""
        text, readable = prediction
        if self.by_name:
            text, truth = (words.replace(NEG, SEG) for words in (text, truth))
        emitted, promised = (Counter(OWNER_PATTERN.findall(words)) for words in (text, truth))
        return {"emitted": emitted == promised, "unparseable": not readable}

    def sums(self, records, groups, count):
        rows = np.array([(1, r["emitted"], r["unparseable"]) for r in records], np.float64).reshape(-1, 3)
        return add(rows, groups, count)

    def conclude(self, sums):
        seen, emitted, unparseable = np.moveaxis(sums, -1, 0)
        return {"emission": share(emitted, seen), "unparseable": share(unparseable, seen)}
