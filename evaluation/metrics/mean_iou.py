"""mIoU and pixel accuracy of semantic segmentation: one question about each class, or (`label_maps`) whole label maps.

Source: mmsegmentation 1.2.2, IoUMetric.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record
from ullava.evaluation.metrics.mask_iou import overlap

IGNORED = 255  # the label of pixels without a class in every data set we read


@METRICS.register("mean_iou")
class MeanIoU(Additive):
    """Per class c, over all questions about it and without ignored pixels: I_c, U_c, and T_c, the pixels of the truth.

    mIoU = mean of I_c / U_c over classes with U_c > 0: a class neither there nor predicted is left out, one that was
    predicted and is nowhere counts 0. pixel_acc = sum of I_c / sum of T_c. Each question has its own mask and masks may
    overlap, which pixel_acc cannot see: read it beside mIoU.
    """

    reads = "mask"

    def measure(
        self, prediction: Any, truth: np.ndarray, *, category: str | None = None, ignored: np.ndarray | None = None
    ) -> Record:
        if category is None:
            raise ValueError("mean_iou: expected the name of the class that was asked for, found None")
        intersection, union, target = overlap(prediction, truth, ignored)
        return {"category": category, "I": intersection, "U": union, "T": target}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        names, place = np.unique([record["category"] for record in records], return_inverse=True)
        cells = groups * len(names) + place
        pixels = np.array([[record[key] for key in "IUT"] for record in records], np.float64).reshape(-1, 3)
        return add(pixels, cells, count * len(names)).reshape(count, -1)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        counts = sums.reshape(*sums.shape[:-1], -1, 3)
        return label_scores(*np.moveaxis(counts, -1, 0))

    def by_class(self, records: Sequence[Record]) -> dict[str, dict[str, float]]:
        names = np.unique([record["category"] for record in records])
        counts = self.sums(records, np.zeros(len(records), np.int64), 1).reshape(-1, 3)
        return class_scores(names.tolist(), *counts.T)


def class_scores(
    names: Sequence[str], intersection: np.ndarray, union: np.ndarray, target: np.ndarray
) -> dict[str, dict[str, float]]:
    """IoU, accuracy and pixels of the truth of each class, from counts (classes,); NaN where nothing was seen."""
    iou, accuracy = share(intersection, union), share(intersection, target)
    return {
        name: {"IoU": float(class_iou), "accuracy": float(class_accuracy), "pixels": int(pixels)}
        for name, class_iou, class_accuracy, pixels in zip(names, iou, accuracy, target, strict=True)
    }


def count_labels(
    prediction: np.ndarray, truth: np.ndarray, classes: int, ignore: int = IGNORED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts the pixels of two label maps (H, W), class by class: I, U, T, each (classes,) int64, to be added up.

    Args:
        prediction: class ids; any id outside 0..classes-1 stands for "no class", and is wrong wherever it is said.
        truth: class ids, or `ignore`.

    Raises:
        ValueError: shapes differ, or the truth holds an id that is no class.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.shape != truth.shape:
        raise ValueError(f"label map: prediction is {prediction.shape}, truth is {truth.shape}")
    prediction, truth = prediction[truth != ignore], truth[truth != ignore]
    if truth.size and not 0 <= truth.min() <= truth.max() < classes:
        raise ValueError(f"label map: expected ids 0..{classes - 1} or {ignore}, found {truth.min()}..{truth.max()}")
    classified = prediction[(prediction >= 0) & (prediction < classes)]
    hit, predicted, target = (
        np.bincount(ids, minlength=classes) for ids in (truth[prediction == truth], classified, truth)
    )
    return hit, predicted + target - hit, target


def label_scores(intersection: np.ndarray, union: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """mIoU and pixel_acc from counts (..., classes).

    mIoU is NaN where no class was seen, pixel_acc then 0, as the references have it; both NaN without any class.
    """
    seen = union > 0
    iou = np.where(seen, intersection / np.maximum(union, 1), 0).sum(axis=-1)
    hits, pixels = intersection.sum(axis=-1), np.maximum(target.sum(axis=-1), 1)
    accuracy = hits / pixels if intersection.shape[-1] else np.full(hits.shape, np.nan)
    return {"mIoU": share(iou, seen.sum(axis=-1)), "pixel_acc": accuracy}
