"""gIoU, cIoU, P@t, and their generalised form."""

import json
import math

import numpy as np
import pytest

from ullava.evaluation.metrics.generalised_iou import GeneralisedIoU
from ullava.evaluation.metrics.mask_iou import MaskIoU


def drawn(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


LEFT, RIGHT, NOTHING = drawn("##..", "##.."), drawn("..##", "..##"), drawn("....", "....")
THREE = drawn("###.", "###.")  # I = 4, U = 6 with LEFT


def scores(*pairs, metric=None, **options):
    metric = metric or MaskIoU()
    return metric.score([metric.measure(prediction, truth, **options) for prediction, truth in pairs])


def test_a_perfect_mask_scores_one():
    assert set(scores((LEFT, LEFT)).values()) == {1.0}


def test_giou_is_a_mean_and_ciou_a_ratio_of_sums():
    # IoU 4/6, 0/8, 1: gIoU = (2/3 + 0 + 1) / 3 = 5/9; cIoU = (4 + 0 + 4) / (6 + 8 + 4) = 4/9
    found = scores((THREE, LEFT), (RIGHT, LEFT), (LEFT, LEFT))
    assert found["gIoU"] == pytest.approx(5 / 9, abs=1e-15) and found["cIoU"] == pytest.approx(4 / 9, abs=1e-15)
    assert found["P@0.5"] == found["P@0.6"] == pytest.approx(2 / 3) and found["P@0.7"] == pytest.approx(1 / 3)


def test_two_empty_masks_agree_and_add_nothing_to_ciou():
    found = scores((NOTHING, NOTHING), (THREE, LEFT))
    assert found["gIoU"] == pytest.approx((1 + 2 / 3) / 2) and found["cIoU"] == pytest.approx(2 / 3)
    assert scores((None, NOTHING)) == {"gIoU": 1.0, "cIoU": 0.0} | {f"P@{t}": 1.0 for t in (0.5, 0.6, 0.7, 0.8, 0.9)}


def test_an_empty_truth_with_a_mask_is_wrong_and_so_is_no_mask_for_a_target():
    assert scores((LEFT, NOTHING))["gIoU"] == scores((None, LEFT))["gIoU"] == 0


def test_an_iou_of_exactly_a_half_passes():
    assert scores((drawn("##"), drawn("#.")))["P@0.5"] == 1


def test_ignored_pixels_count_neither_as_truth_nor_as_prediction():
    assert scores((THREE, LEFT), ignored=drawn("..#.", "..#."))["gIoU"] == 1
    assert scores((LEFT, LEFT), ignored=LEFT)["gIoU"] == 1  # nothing is left: an empty union


def test_probabilities_are_inside_above_one_half_only():
    assert scores((np.float32([[0.5, 0.51]]), drawn(".#")))["gIoU"] == 1


@pytest.mark.parametrize(
    "mask, message", [(drawn("##"), "prediction is (1, 2), truth is (2, 4)"), (LEFT.astype(np.uint8), "found uint8")]
)
def test_a_mask_of_another_size_or_kind_is_refused(mask, message):
    with pytest.raises(ValueError) as error:
        MaskIoU().measure(mask, LEFT)
    assert message in str(error.value)


@pytest.mark.parametrize("metric", [MaskIoU(), GeneralisedIoU()], ids=lambda metric: metric.name)
def test_nothing_seen_is_nan_and_records_are_json(metric):
    assert all(math.isnan(value) for value in metric.score([]).values())
    record = metric.measure(THREE, LEFT)
    assert json.loads(json.dumps(record)) == record


def test_generalised_scores_go_by_what_was_said():
    # rows: hit (I 4, U 4), said no target of a target (0, 4), rightly none (0, 0), missed that there is none (0, 4)
    found = scores((LEFT, LEFT), (None, LEFT), (NOTHING, NOTHING), (RIGHT, NOTHING), metric=GeneralisedIoU())
    assert found["gIoU"] == 2 / 4 and found["cIoU"] == 4 / 12
    assert found["N-acc"] == 1 / 2 and found["T-acc"] == 1 / 2 and found["P@0.7"] == 1 / 2


def test_a_model_that_says_no_target_is_not_judged_by_its_mask():
    metric = GeneralisedIoU()
    assert metric.measure(LEFT, NOTHING, says_no_target=True) == {"I": 0, "U": 0, "target": False, "said": True}
    assert metric.measure(LEFT, LEFT, says_no_target=True) == {"I": 0, "U": 4, "target": True, "said": True}
