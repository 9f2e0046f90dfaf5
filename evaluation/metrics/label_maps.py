"""mIoU and pixel accuracy of whole label maps: each pixel has one class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add
from ullava.evaluation.metrics.base import Record
from ullava.evaluation.metrics.mean_iou import IGNORED, class_scores, count_labels, label_scores

COUNTS = ("I", "U", "T")


@dataclass(frozen=True)
class LabelMaps(Additive):
    """As `MeanIoU`, with the counts of all classes from one map; None predicts no class anywhere.

    Args:
        classes: ids are 0..classes-1.
        ignore: the id of pixels that count nowhere.
        names: of the classes, by id; () names them by their ids.
    """

    classes: int
    ignore: int = IGNORED
    names: tuple[str, ...] = ()

    name = "label_maps"
    reads = "labels"

    def __post_init__(self):
        if self.names and len(self.names) != self.classes:
            raise ValueError(f"label maps: expected names of {self.classes} classes, found {len(self.names)}")

    def measure(
        self, prediction: np.ndarray | None, truth: np.ndarray, *, category: str | None = None, ignored: Any = None
    ) -> Record:
        labels = np.full(truth.shape, -1) if prediction is None else prediction
        counts = count_labels(labels, truth, self.classes, self.ignore)
        return dict(zip(COUNTS, (count.tolist() for count in counts), strict=True))

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        rows = np.array([[record[key] for key in COUNTS] for record in records], np.float64)
        return add(rows.reshape(-1, len(COUNTS) * self.classes), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        counts = sums.reshape(*sums.shape[:-1], len(COUNTS), self.classes)
        return label_scores(*np.moveaxis(counts, -2, 0))

    def by_class(self, records: Sequence[Record]) -> dict[str, dict[str, float]]:
        names = self.names or tuple(map(str, range(self.classes)))
        sums = self.sums(records, np.zeros(len(records), np.int64), 1)
        return class_scores(names, *sums.reshape(len(COUNTS), self.classes))
