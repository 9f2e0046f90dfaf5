"""95 % intervals of scores, by drawing pictures again: how much would a score move on another set of such pictures?

Questions about one picture stand or fall together, so whole pictures are drawn, with all their records (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentile intervals).
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

import numpy as np

from ullava.evaluation.metrics.additive import Additive
from ullava.evaluation.metrics.base import Record

TAILS = (0.025, 0.975)
BLOCK = 2**22  # numbers at most in one array of draws
COST = 200_000  # records at most that a score without sums is asked to go through

Score = Callable[[Sequence[Record]], Mapping[str, float]]


def interval(
    records: Sequence[Record], pictures: Sequence[Hashable], score: Score, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The middle 95 % of each score over resamples of the pictures (see `draw`); NaN where it is NaN in all of them."""
    if not records:
        return {name: (np.nan, np.nan) for name in score(records)}
    return {name: ends(values) for name, values in draw(records, pictures, score, resamples, seed).items()}


def draw(
    records: Sequence[Record], pictures: Sequence[Hashable], score: Score, resamples: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Each score in resamples of the pictures, (resamples,); the same resamples for the same pictures and seed.

    Args:
        records: as a metric measured them; one at least.
        pictures: the picture of each record.
        score: a metric's `score`. Of an `Additive` metric the sums per picture are enough, and what is estimated from
            all records (CIDEr-D's idf) stays as it is; any other score is called again on each resample, at most as
            often as 200 000 records allow, and not less than 20 times.
        resamples: how often the set is drawn.
        seed: of the draws.
    """
    if len(records) != len(pictures):
        raise ValueError(f"bootstrap: {len(records)} records, but pictures for {len(pictures)}")
    places = {picture: place for place, picture in enumerate(dict.fromkeys(pictures))}
    groups = np.array([places[picture] for picture in pictures])
    rng = np.random.default_rng(seed)
    metric = getattr(score, "__self__", None)  # a bound method knows its metric
    if isinstance(metric, Additive):
        return from_sums(metric, metric.sums(records, groups, len(places)), resamples, rng)
    return from_records(score, records, groups, min(resamples, max(20, COST // len(records))), rng)


def from_sums(metric: Additive, sums: np.ndarray, resamples: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scores (resamples,) from sums per picture (pictures, D)."""
    count = len(sums)
    blocks = []
    for size in portions(resamples, max(1, BLOCK // max(sums.shape))):
        rows = np.arange(size)[:, None] * count
        times = np.bincount((rng.integers(count, size=(size, count)) + rows).ravel(), minlength=size * count)
        blocks.append(metric.conclude(times.reshape(size, count).astype(np.float64) @ sums))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def from_records(
    score: Score, records: Sequence[Record], groups: np.ndarray, resamples: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Scores (resamples,) from calling `score` on each resample."""
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    scores = []
    for _ in range(resamples):
        drawn = np.concatenate([members[group] for group in rng.integers(len(members), size=len(members))])
        scores.append(score([records[i] for i in drawn]))
    return {name: np.array([resampled[name] for resampled in scores], np.float64) for name in scores[0]}


def portions(total: int, most: int) -> Iterator[int]:
    """Cuts `total` into pieces of at most `most`."""
    while total > 0:
        yield min(total, most)
        total -= most


def ends(values: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles, without NaN."""
    seen = values[~np.isnan(values)]
    low, high = np.quantile(seen, TAILS) if seen.size else (np.nan, np.nan)
    return float(low), float(high)
