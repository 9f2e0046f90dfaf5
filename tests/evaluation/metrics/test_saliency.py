"""Saliency scores. That they equal PySODMetrics is for the oracles; here what can be derived by hand."""

import json
import math

import numpy as np
import pytest

from ullava.evaluation.metrics.saliency import Saliency, e_measure, f_measure

TRUTH = np.zeros((6, 8), bool)
TRUTH[1:4, 2:6] = True


def scores(*maps, truth=TRUTH):
    metric = Saliency()
    return metric.score([metric.measure(map_, truth) for map_ in maps])


def test_a_perfect_map_is_perfect():
    found = scores(TRUTH.astype(np.float32))
    assert found["MAE"] == 0 and [found[name] for name in ("maxF", "adpF", "wF", "S")] == pytest.approx([1] * 4)
    assert found["maxE"] == found["adpE"] == pytest.approx(48 / 47)  # the reference divides by H W - 1


def test_every_map_is_stretched_before_anything_is_measured():
    faint = scores(np.where(TRUTH, 0.6, 0.4))
    assert faint == scores(TRUTH) and faint["MAE"] == 0
    constant = scores(np.full(TRUTH.shape, 100 / 255))  # but this
    assert constant["MAE"] == pytest.approx((12 * 155 + 36 * 100) / 255 / 48)


def test_no_mask_is_an_all_zero_map():
    found = scores(None)
    assert found == scores(np.zeros(TRUTH.shape)) and found["MAE"] == 12 / 48
    # the adaptive threshold of zeros is 0: everything is foreground, p = 1/4, r = 1, F = 1.3 / 4 / (0.3 / 4 + 1)
    assert found["adpF"] == found["maxF"] == pytest.approx(1.3 / 4 / (0.3 / 4 + 1))


def test_f_by_hand():
    assert f_measure(3, 1, 6) == pytest.approx(1.3 * 0.75 * 0.5 / (0.3 * 0.75 + 0.5)) and f_measure(0, 5, 6) == 0


def test_e_by_hand():
    # 4 pixels, half of them truth, the first said alone: a = 3/4 or -1/4, b = +-1/2;
    # 2ab / (a^2 + b^2) = 12/13, -+4/5: (25/13)^2 / 4 + (1/5)^2 / 4 + 2 (9/5)^2 / 4, over 3
    assert e_measure(1, 0, 2, 4) == pytest.approx(((25 / 13) ** 2 + 0.2**2 + 2 * 1.8**2) / 4 / 3)


def test_the_maximum_is_that_of_the_mean_curve():
    bright, faint = np.where(TRUTH, 1.0, 0.9), np.where(TRUTH, 0.3, 0.0)  # best cut high, best cut low
    bright[5, 7], faint[0, 0] = 0, 1
    both, one, other = scores(bright, faint), scores(bright), scores(faint)
    assert both["maxF"] < (one["maxF"] + other["maxF"]) / 2 - 0.1
    assert both["MAE"] == pytest.approx((one["MAE"] + other["MAE"]) / 2)


def test_an_object_with_its_centre_on_the_last_row_has_a_structure_score():
    last = np.zeros((6, 8), bool)
    last[5, 2:6] = True
    assert scores(last, truth=last)["S"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("map_", [np.full(TRUTH.shape, 1.5), TRUTH.astype(np.int64), TRUTH[:3]])
def test_a_map_out_of_range_or_shape_is_refused(map_):
    with pytest.raises(ValueError):
        scores(map_)


def test_pixels_to_be_ignored_are_refused():
    with pytest.raises(ValueError, match="know no ignored pixels"):
        Saliency().measure(TRUTH, TRUTH, ignored=TRUTH)


def test_nothing_seen_is_nan_and_records_are_small_json():
    assert all(math.isnan(value) for value in scores().values())
    record = Saliency().measure(np.linspace(0, 1, 48).reshape(6, 8), TRUTH)
    assert json.loads(json.dumps(record)) == record and len(json.dumps(record)) < 1500
