"""Acc@t of boxes."""

import json
import math

import pytest

from ullava.evaluation.metrics.box_accuracy import BoxAccuracy, box_iou

SQUARE = (0.0, 0.0, 10.0, 10.0)


def scores(*pairs):
    metric = BoxAccuracy()
    return metric.score([metric.measure(prediction, truth) for prediction, truth in pairs])


def test_the_same_box_scores_one():
    assert set(scores((SQUARE, SQUARE)).values()) == {1.0}


@pytest.mark.parametrize(
    "box, expected",
    [
        ((0, 0, 10, 5), 0.5),  # 50 / 100
        ((5, 0, 15, 10), 1 / 3),  # 50 / 150
        ((10, 0, 20, 10), 0.0),  # touches: x1 is outside
        ((-5, -5, 15, 15), 0.25),  # 100 / 400, no clipping
    ],
)
def test_iou_has_no_plus_one(box, expected):
    assert box_iou(box, SQUARE) == box_iou(SQUARE, box) == expected


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 9, 1, 1), (0, 0, math.nan, 10), (0, 0, math.inf, 10)])
def test_a_box_without_a_proper_area_misses(box):
    assert box_iou(box, SQUARE) == box_iou(box, box) == 0


def test_no_box_is_a_miss_and_exactly_the_threshold_is_a_hit():
    found = scores((None, SQUARE), ((0, 0, 10, 5), SQUARE), ((0, 0, 10, 9), SQUARE), (SQUARE, SQUARE))
    assert found["acc@0.5"] == 3 / 4 and found["acc@0.75"] == found["acc@0.9"] == 2 / 4
    assert found["mean_box_iou"] == pytest.approx((0 + 0.5 + 0.9 + 1) / 4)


def test_nothing_seen_is_nan_and_records_are_json():
    assert all(math.isnan(value) for value in scores().values())
    assert json.loads(json.dumps(BoxAccuracy().measure(None, SQUARE))) == {"IoU": 0.0}
