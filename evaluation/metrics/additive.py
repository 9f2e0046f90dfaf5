"""Metrics whose scores follow from sums over records.

Nearly every metric is of this kind: a mean, a ratio of sums, the maximum of a mean curve. Sums per picture are all that
a bootstrap needs, so a thousand resamples cost one matrix product instead of a thousand scores.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from ullava.evaluation.metrics.base import Metric, Record


class Additive(Metric):
    """A metric with scores = conclude(sum of what each record contributes)."""

    @abstractmethod
    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        """Sums over the records of each group, (count, D) float64.

        Args:
            records: all that are scored together.
            groups: (N,) int, the group of each record, 0 <= group < count.
            count: of groups.
        """

    @abstractmethod
    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Scores by name, each (...), from sums (..., D); NaN where nothing was seen."""

    def score(self, records: Sequence[Record]) -> dict[str, float]:
        sums = self.sums(records, np.zeros(len(records), np.int64), 1)
        return {name: float(value[0]) for name, value in self.conclude(sums).items()}


def add(columns: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Sums the rows of `columns` (N, D) group by group: (count, D) float64."""
    if count == 1:
        return columns.sum(axis=0, dtype=np.float64)[None]
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, groups, columns)
    return sums


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part` / `whole`, NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole != 0)
