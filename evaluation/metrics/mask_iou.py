"""gIoU, cIoU and P@t: the mask scores of referring, reasoning and salient segmentation.

Sources: LISA (arXiv:2308.00692; train_ds.py, validate) for gIoU and cIoU, LAVT (test.py, evaluate) for P@t. LISA's
printed numbers carry epsilons, up to 2.1e-5 low; these do not.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
CUT = 0.5  # of a probability; the logit's 0 (LISA)


@METRICS.register("mask_iou")
class MaskIoU(Additive):
    """One expression, one mask P and one truth G, both without the ignored pixels: I = |P & G|, U = |P | G|.

    IoU = I / U, and 1 where U = 0: an empty answer to an empty truth is right.
    gIoU = mean of IoU over expressions; cIoU = sum of I / sum of U (0 where every union is empty);
    P@t = share of expressions with IoU >= t.
    """

    reads = "mask"

    def measure(
        self, prediction: Any, truth: np.ndarray, *, category: str | None = None, ignored: np.ndarray | None = None
    ) -> Record:
        intersection, union, _ = overlap(prediction, truth, ignored)
        return {"I": intersection, "U": union}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        pixels = np.array([(record["I"], record["U"]) for record in records], np.float64).reshape(-1, 2)
        iou = np.where(pixels[:, 1] > 0, pixels[:, 0] / np.maximum(pixels[:, 1], 1), 1.0)[:, None]
        return add(np.hstack([np.ones_like(iou), pixels, iou, iou >= np.array(THRESHOLDS)]), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        seen, intersection, union, iou, *hits = np.moveaxis(sums, -1, 0)
        cumulative = np.where(seen > 0, intersection / np.maximum(union, 1), np.nan)
        scores = {"gIoU": share(iou, seen), "cIoU": cumulative}
        return scores | {f"P@{t}": share(hit, seen) for t, hit in zip(THRESHOLDS, hits, strict=True)}


def overlap(prediction: Any, truth: np.ndarray, ignored: np.ndarray | None = None) -> tuple[int, int, int]:
    """Counts pixels of one class.

    Args:
        prediction: (H, W) float probabilities (above 0.5 is inside) or bool; None is an empty mask.
        truth: (H, W) bool.
        ignored: (H, W) bool, pixels that count nowhere.

    Returns:
        Pixels of the intersection, of the union, and of the truth.

    Raises:
        ValueError: shapes differ, or the prediction is neither float nor bool.
    """
    truth = np.asarray(truth, bool)
    kept = truth if ignored is None else truth & ~same_size(ignored, truth, "ignored")
    target = int(np.count_nonzero(kept))
    if prediction is None:
        return 0, target, target
    predicted = binary(same_size(prediction, truth, "prediction"))
    if ignored is not None:
        predicted = predicted & ~np.asarray(ignored, bool)
    intersection = int(np.count_nonzero(predicted & kept))
    return intersection, int(np.count_nonzero(predicted)) + target - intersection, target


def binary(prediction: np.ndarray) -> np.ndarray:
    """Cuts float probabilities at 0.5; bool stays as it is."""
    if prediction.dtype == bool:
        return prediction
    if not np.issubdtype(prediction.dtype, np.floating):
        raise ValueError(f"mask: expected float probabilities or bool, found {prediction.dtype}; compare with > 0")
    return prediction > CUT


def same_size(mask: Any, truth: np.ndarray, name: str) -> np.ndarray:
    """`mask` as an array, if it has the truth's size."""
    mask = np.asarray(mask)
    if mask.shape != truth.shape:
        raise ValueError(f"mask: {name} is {mask.shape}, truth is {truth.shape}; draw both in the picture's own size")
    return mask
