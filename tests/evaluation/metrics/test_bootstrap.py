"""Bootstrap intervals."""

import math

import numpy as np
import pytest

from ullava.evaluation.metrics.bootstrap import interval
from ullava.evaluation.metrics.box_accuracy import BoxAccuracy
from ullava.evaluation.metrics.captions.caption_scores import Captions
from ullava.evaluation.metrics.mean_iou import MeanIoU

RNG = np.random.default_rng(5)
HITS = [{"IoU": float(value)} for value in RNG.random(400)]
METRIC = BoxAccuracy()


def test_a_share_of_independent_pictures_has_its_binomial_width():
    low, high = interval(HITS, range(400), METRIC.score)["acc@0.5"]
    p = METRIC.score(HITS)["acc@0.5"]
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(p * (1 - p) / 400), rel=0.1) and low < p < high


def test_questions_about_one_picture_stand_or_fall_together():
    copies = [record for record in HITS for _ in range(4)]
    narrow = interval(copies, range(1600), METRIC.score)["acc@0.5"]
    wide = interval(copies, [i // 4 for i in range(1600)], METRIC.score)["acc@0.5"]
    assert wide[1] - wide[0] == pytest.approx(2 * (narrow[1] - narrow[0]), rel=0.15)  # sqrt(4)


def test_the_same_seed_gives_the_same_interval():
    pictures = [f"picture {i // 3}" for i in range(400)]
    assert interval(HITS, pictures, METRIC.score) == interval(HITS, pictures, METRIC.score)
    assert interval(HITS, pictures, METRIC.score) != interval(HITS, pictures, METRIC.score, seed=1)


def test_calling_a_score_and_summing_give_the_same_intervals():
    pictures = [i // 2 for i in range(400)]
    summed, called = interval(HITS, pictures, METRIC.score), interval(HITS, pictures, lambda r: METRIC.score(r))
    for name, ends in summed.items():
        assert called[name] == pytest.approx(ends, abs=0.02)


def test_a_costly_score_is_called_less_often():
    calls = []
    interval([{}] * 20_000, [0] * 20_000, lambda records: calls.append(len(records)) or {"x": 0.0})
    assert calls == [20_000] * 20


def test_one_picture_has_no_width():
    assert interval(HITS, ["same"] * 400, METRIC.score)["acc@0.5"] == (METRIC.score(HITS)["acc@0.5"],) * 2


def test_no_records_have_no_interval():
    assert all(math.isnan(low) and math.isnan(high) for low, high in interval([], [], METRIC.score).values())


def test_records_without_their_pictures_are_refused():
    with pytest.raises(ValueError, match="400 records, but pictures for 2"):
        interval(HITS, [0, 1], METRIC.score)


def test_scores_that_are_no_means_lie_in_their_intervals():
    masks = [{"category": f"c{i % 5}", "I": int(i % 7), "U": 7, "T": 7} for i in range(200)]
    captions = [Captions().measure(f"a dog {i % 9} runs", (f"a dog {i % 7} runs", "cats")) for i in range(60)]
    for metric, records in ((MeanIoU(), masks), (Captions(), captions)):
        scores, ends = metric.score(records), interval(records, range(len(records)), metric.score)
        assert scores.keys() == ends.keys()
        assert all(low - 1e-9 <= scores[name] <= high + 1e-9 for name, (low, high) in ends.items())
