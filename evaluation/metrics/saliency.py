"""Salient object detection scores: MAE, F-measure, E-measure, S-measure, weighted F-measure.

Definitions and order of reductions as in PySODMetrics 1.6.2, so that figures stand beside the tables of that field;
what is peculiar there is kept on purpose: every map is stretched to 0..1 first, also for MAE; max and mean are those of
the data set's MEAN curve; the E-measure divides by H W - 1 and so may exceed 1; an all-zero map has the adaptive
threshold 0, which makes everything foreground.

F and E at 256 thresholds follow from how often each grey level stands on the truth and beside it: two histograms.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record
from ullava.evaluation.metrics.mask_iou import same_size
from ullava.evaluation.metrics.structure import structure_measure, weighted_f

BETA2 = 0.3  # weight of the precision (Achanta et al., CVPR 2009)
LEVELS = 256
EPS = np.spacing(1)
MEANS: tuple[str, ...] = ("MAE", "adpF", "adpE", "S", "wF")


@METRICS.register("saliency")
class Saliency(Additive):
    """Per picture, with the stretched map P in 0..1 and the truth G, for each threshold t = 255 ... 0 on floor(255 P):

    F(t) = 1.3 p r / (0.3 p + r), p and r precision and recall of P >= t;
    E(t) = mean of (1 + 2 a b / (a^2 + b^2))^2 / 4, a and b the thresholded map and the truth, less their means;
    maxF, meanF, maxE, meanE = maximum and mean of the curve that is the mean over pictures; adpF, adpE at the threshold
    min(2 mean(P), 1); MAE = mean of |P - G|; S and wF: see `structure`.
    """

    reads = "mask"
    graded = True

    def measure(
        self, prediction: Any, truth: np.ndarray, *, category: str | None = None, ignored: np.ndarray | None = None
    ) -> Record:
        """Takes a float map 0..1, a bool mask, or grey levels (uint8); None is an all-zero map.

        Raises:
            ValueError: shapes differ, values outside 0..1, or pixels to be ignored, of which these formulas know none.
        """
        if ignored is not None and np.any(ignored):
            raise ValueError("saliency: these formulas know no ignored pixels; leave the metric out for this data set")
        truth = np.asarray(truth, bool)
        grey = grey_levels(np.zeros(truth.shape, bool) if prediction is None else same_size(prediction, truth, "map"))
        values = stretched(grey)
        target = np.bincount(grey[truth], minlength=LEVELS)
        other = np.bincount(grey.ravel(), minlength=LEVELS) - target
        map_ = values[grey]
        cut = values >= min(2 * map_.mean(), 1)
        counts = target[cut].sum(), other[cut].sum(), target.sum()
        scores = {
            "MAE": np.abs(map_ - truth).mean(),
            "adpF": f_measure(*counts),
            "adpE": e_measure(*counts, truth.size),
            "S": structure_measure(map_, truth),
            "wF": weighted_f(map_, truth),
        }
        there = np.flatnonzero(target + other)
        levels = (values * 255).astype(np.uint8)  # rounded down, with floating point's slips, as in the reference
        histogram = {"levels": levels[there], "target": target[there], "other": other[there]}
        return {k: float(v) for k, v in scores.items()} | {k: v.tolist() for k, v in histogram.items()}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        means = np.array([[record[name] for name in MEANS] for record in records], np.float64).reshape(-1, len(MEANS))
        hits, false = (cumulated(records, key) for key in ("target", "other"))  # (N, 256), thresholds 255 ... 0
        target, size = hits[:, -1:], hits[:, -1:] + false[:, -1:]
        curves = [f_measure(hits, false, target), e_measure(hits, false, target, size)]
        return add(np.hstack([np.ones((len(records), 1)), means, *curves]), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        seen, sums = sums[..., :1], sums[..., 1:]
        averages = share(sums, seen)
        scores = dict(zip(MEANS, np.moveaxis(averages[..., : len(MEANS)], -1, 0), strict=True))
        for name, curve in zip("FE", np.split(averages[..., len(MEANS) :], 2, axis=-1), strict=True):
            scores |= {f"max{name}": curve.max(axis=-1), f"mean{name}": curve.mean(axis=-1)}
        return scores


def grey_levels(prediction: np.ndarray) -> np.ndarray:
    """A map as the 8-bit picture that the field's programs read: nearest level, so that k / 255 gives back k."""
    if prediction.dtype == np.uint8:
        return prediction
    if prediction.dtype == bool:
        return prediction * np.uint8(255)
    if not (np.issubdtype(prediction.dtype, np.floating) and prediction.min() >= 0 and prediction.max() <= 1):
        raise ValueError(
            f"saliency: expected a float map within 0..1, bool, or uint8 grey levels, found {prediction.dtype} "
            f"within {prediction.min()}..{prediction.max()}"
        )
    return np.rint(prediction * 255).astype(np.uint8)


def stretched(grey: np.ndarray) -> np.ndarray:
    """The value in 0..1 of each grey level, (256,): the map's own minimum becomes 0 and its maximum 1, unless equal."""
    values = np.arange(LEVELS) / 255
    low, high = values[grey.min()], values[grey.max()]
    return values if low == high else (values - low) / (high - low)


def cumulated(records: Sequence[Record], key: str) -> np.ndarray:
    """Pixels of `key` at or above each threshold 255 ... 0: (N, 256) float64."""
    counts = np.zeros((len(records), LEVELS))
    for row, record in zip(counts, records, strict=True):
        np.add.at(row, record["levels"], record[key])
    return counts[:, ::-1].cumsum(axis=1)


def f_measure(hits: Any, false: Any, target: Any) -> Any:
    """F of `hits` right and `false` wrong pixels when `target` pixels were to be found; 0 without a hit."""
    precision, recall = hits / np.maximum(hits + false, 1), hits / np.maximum(target, 1)
    return (1 + BETA2) * precision * recall / np.where(hits == 0, 1, BETA2 * precision + recall)


def e_measure(hits: Any, false: Any, target: Any, size: Any) -> Any:
    """E of the same counts in pictures of `size` pixels; the share of agreeing pixels where the truth is one-valued."""
    predicted = hits + false
    mean, mean_truth = predicted / size, target / size
    parts = (
        (hits, 1 - mean, 1 - mean_truth),
        (false, 1 - mean, -mean_truth),
        (target - hits, -mean, 1 - mean_truth),
        (size - predicted - (target - hits), -mean, -mean_truth),
    )
    aligned = sum(count * (2 * a * b / (a * a + b * b + EPS) + 1) ** 2 / 4 for count, a, b in parts)
    return np.where(target == 0, size - predicted, np.where(target == size, predicted, aligned)) / (size - 1 + EPS)
