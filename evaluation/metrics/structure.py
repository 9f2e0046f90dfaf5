"""The two saliency scores that need to know where pixels lie: S-measure and weighted F-measure.

Sources: Fan et al., ICCV 2017 (S-measure); Margolin et al., CVPR 2014 (weighted F-measure); both with the details of
PySODMetrics 1.6.2. Maps are (H, W) float64 in 0..1, truths (H, W) bool.
"""

from typing import cast

import numpy as np

EPS = np.spacing(1)
KERNEL = np.exp(-(np.arange(-3.0, 4.0) ** 2) / 50)  # 7 pixels of a Gaussian with sigma 5
KERNEL /= KERNEL.sum()


def structure_measure(map_: np.ndarray, truth: np.ndarray) -> float:
    """S = half the likeness of object and background, half that of the four parts around the object's centre; >= 0.

    An empty truth scores 1 - mean(map), a full one mean(map).
    """
    share = truth.mean()
    if share in (0, 1):
        return map_.mean() if share else 1 - map_.mean()
    objects = share * likeness(map_[truth]) + (1 - share) * likeness(1 - map_[~truth])
    return max(0.0, (objects + regions(map_, truth)) / 2)


def likeness(values: np.ndarray) -> float:
    """2 m / (m^2 + 1 + s) with mean m and standard deviation s: 1 where all values are 1."""
    mean = values.mean()
    deviation = values.std(ddof=1) if values.size > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation + EPS)


def regions(map_: np.ndarray, truth: np.ndarray) -> float:
    """Similarity of the four parts that meet at the truth's centroid, weighted by their areas.

    A centroid on the last row or column leaves parts without pixels: they weigh nothing (the reference gives NaN).
    """
    row, column = (int(places.mean().round()) + 1 for places in np.nonzero(truth))
    total = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            part = truth[rows, columns]
            # findings/sod_structure_nan.sh
            if part.size:
                total += part.size / truth.size * similarity(map_[rows, columns], part)
    return total


def similarity(map_: np.ndarray, truth: np.ndarray) -> float:
    """4 x y c / ((x^2 + y^2) (v + w)): means x and y, variances v and w, covariance c; 1 where both parts are 0."""
    x, y, free = map_.mean(), truth.mean(), map_.size - 1 + EPS
    dx, dy = map_ - x, truth - y
    above = 4 * x * y * (dx * dy).sum() / free
    below = (x * x + y * y) * ((dx * dx).sum() + (dy * dy).sum()) / free
    return above / (below + EPS) if above else float(below == 0)


def weighted_f(map_: np.ndarray, truth: np.ndarray) -> float:
    """F1 of weighted errors: an error beside the truth weighs more the farther away, one on it less among right ones.

    0 for an empty truth.
    """
    if not truth.any():
        return 0.0
    from scipy.ndimage import correlate1d, distance_transform_edt  # half a second, for which no other score need wait

    outside = ~truth
    # None, or one array alone, where it is asked for less or gets arrays to fill
    transformed = cast(tuple[np.ndarray, np.ndarray], distance_transform_edt(outside, return_indices=True))
    distance, (rows, columns) = transformed
    error = np.abs(map_ - truth)
    nearest = error[rows, columns]  # a pixel of the truth is its own nearest
    smooth = correlate1d(correlate1d(nearest, KERNEL, axis=0, mode="constant"), KERNEL, axis=1, mode="constant")
    on_truth = np.minimum(error, smooth)[truth].sum()
    beside = (error * (2 - np.exp(np.log(0.5) / 5 * distance)))[outside].sum()
    pixels = np.count_nonzero(truth)
    recall = 1 - on_truth / pixels
    precision = (pixels - on_truth) / (pixels - on_truth + beside + EPS)
    return 2 * recall * precision / (recall + precision + EPS)
