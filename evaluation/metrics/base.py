"""The contract of a metric: one small record per question, one score from all records.

Ranks gather records; bootstrap, resume and `ullava score` use the same two functions.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ullava.configs.registry import Registry

METRICS: Registry[type["Metric"]] = Registry("metric")
Record = Mapping[str, Any]  # JSON-ready, small


class Metric(ABC):
    """One formula. Its docstring states it, with its source.

    Attributes:
        reads: what of an answer and of the truth it compares, one pair at a time:
            "mask": (H, W) float probabilities or bool, or None where the answer gave none; truth (H, W) bool.
            "box": x0, y0, x1, y1, or None; truth the same.
            "text": a string; truth a tuple of reference strings.
            "union": as "mask", one pair a question: all masks of its answer together, and all that is meant together;
                the truth of what is not there is empty.
            "labels": (H, W) class ids, or None; truth the same.
            "names": the names that an answer calls there; truth (those that are, those asked for that are not).
        graded: whether it reads probabilities as such, so that a mask cut at 0.5 does not replace them.
        scales: score -> where its scale ends, of scores that do not end at 1.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    graded: ClassVar[bool] = False
    scales: ClassVar[Mapping[str, float]] = {}

    @abstractmethod
    def measure(self, prediction: Any, truth: Any, *, category: str | None = None, ignored: Any = None) -> Record:
        """Compares one prediction with its truth.

        Args:
            prediction: None counts as wrong (an empty mask, no box), never as absent.
            truth: see `reads`.
            category: name of the class asked for, where the metric is per class.
            ignored: (H, W) bool, pixels that count nowhere.
        """

    @abstractmethod
    def score(self, records: Sequence[Record]) -> dict[str, float]:
        """Scores by name (NAMES: fractions of 1, CIDEr-D 0-10); NaN where nothing was seen."""

    def by_class(self, records: Sequence[Record]) -> dict[str, dict[str, float]]:
        """Scores of each class, by its name; nothing where a metric knows no classes."""
        return {}
