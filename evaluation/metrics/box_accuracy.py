"""Acc@t of referring expression comprehension: is the box the one that was meant?"""

import math
from collections.abc import Sequence

import numpy as np

from ullava.datasets.structures import Box
from ullava.evaluation.metrics.additive import Additive, add, share
from ullava.evaluation.metrics.base import METRICS, Record

THRESHOLDS = (0.5, 0.75, 0.9)


@METRICS.register("box_accuracy")
class BoxAccuracy(Additive):
    """acc@t = share of expressions whose box has IoU >= t with the truth; mean_box_iou = mean IoU.

    No box is a miss. As torchvision box_iou, Qwen-VL and lmms-eval in float64: no "+1", no clipping to the picture.
    u-LLaVA's own code asks IoU > 0.5, refer's demo adds 1 to widths: both differ on exact ties and tiny boxes only.
    """

    reads = "box"

    def measure(self, prediction: Box | None, truth: Box, *, category: str | None = None, ignored=None) -> Record:
        return {"IoU": 0.0 if prediction is None else box_iou(prediction, truth)}

    def sums(self, records: Sequence[Record], groups: np.ndarray, count: int) -> np.ndarray:
        iou = np.array([record["IoU"] for record in records], np.float64)[:, None]
        return add(np.hstack([np.ones_like(iou), iou, iou >= np.array(THRESHOLDS)]), groups, count)

    def conclude(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        seen, iou, *hits = np.moveaxis(sums, -1, 0)
        scores = {f"acc@{t}": share(hit, seen) for t, hit in zip(THRESHOLDS, hits, strict=True)}
        return scores | {"mean_box_iou": share(iou, seen)}


def box_iou(first: Box, second: Box) -> float:
    """IoU of two boxes x0, y0, x1, y1 in pixels, x1 and y1 outside.

    0 for a box without area, turned inside out, or not finite.
    """
    a, b = ([float(value) for value in box] for box in (first, second))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b) if box[2] > box[0] and box[3] > box[1]]
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if len(areas) < 2 or not all(map(math.isfinite, areas)) or width <= 0 or height <= 0:
        return 0.0
    return width * height / (sum(areas) - width * height)
