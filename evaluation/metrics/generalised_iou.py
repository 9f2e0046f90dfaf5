"""Generalised RES (gRefCOCO): expressions that may have no target, and models that may say so.

Source: ReLA/GRES (arXiv:2306.00968; gres_model/evaluation/refer_evaluation.py, ReferEvaluator).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record
from ullava.evaluation.metrics.mask_iou import overlap

THRESHOLDS = (0.7, 0.8, 0.9)


@METRICS.register("generalised_iou")
class GeneralisedIoU(Additive):
    """One expression, one answer: all its masks together, P, against all things that are meant, G (several, one, none).

    Decided by what the model says ("no target": no mask, or an empty one), not by the mask it may give beside it.

    truth empty,  said:     IoU 1, nothing to I and U      truth empty,  not said: IoU 0, U = |P|
    truth target, said:     IoU 0, I = 0, U = |P | G|      truth target, not said: IoU = I / U

    gIoU = mean IoU; cIoU = sum of I / sum of U; N-acc = share of empty truths that were said to be empty;
    T-acc = share of targets that were not; P@t = share of targets with IoU >= t.
    """

    reads = "union"

    def measure(
        self,
        prediction: Any,
        truth: np.ndarray,
        *,
        category: str | None = None,
        ignored: np.ndarray | None = None,
        says_no_target: bool | None = None,
    ) -> Record:
        """As the contract; `says_no_target` is the model's own "no target", by default: its mask is empty."""
        intersection, union, target = overlap(prediction, truth, ignored)
        if says_no_target is None:
            says_no_target = union + intersection == target  # |P| = U + I - |G|
        if says_no_target:
            intersection, union = 0, union if target else 0
        return {"I": intersection, "U": union, "target": target > 0, "said": bool(says_no_target)}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        keys = ("I", "U", "target", "said")
        rows = np.array([[record[key] for key in keys] for record in records], np.float64).reshape(-1, len(keys))
        intersection, union, target, no_target = rows.T
        iou = np.where(target > 0, intersection / np.maximum(union, 1), no_target)
        hits = [target * (iou >= t) for t in THRESHOLDS]
        right = [(1 - target) * no_target, target * (1 - no_target)]
        columns = [np.ones_like(iou), intersection, union, iou, target, *right, *hits]
        return add(np.stack(columns, axis=1), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        seen, intersection, union, iou, target, no_target_right, target_right, *hits = np.moveaxis(sums, -1, 0)
        scores = {
            "gIoU": share(iou, seen),
            "cIoU": np.where(seen > 0, intersection / np.maximum(union, 1), np.nan),
            "N-acc": share(no_target_right, seen - target),
            "T-acc": share(target_right, target),
        }
        return scores | {f"P@{t}": share(hit, target) for t, hit in zip(THRESHOLDS, hits, strict=True)}
