"""mIoU and pixel accuracy, of questions and of label maps."""

import json
import math

import numpy as np
import pytest

from ullava.evaluation.metrics.mean_iou import MeanIoU, count_labels, label_scores


def drawn(row):
    return np.array([[c == "#" for c in row]])


def scores(*questions, **options):
    metric = MeanIoU()
    return metric.score([metric.measure(mask, truth, category=name, **options) for name, mask, truth in questions])


def test_perfect_masks_score_one():
    assert scores(("road", drawn("##.."), drawn("##..")), ("sky", drawn("..##"), drawn("..##"))) == {
        "mIoU": 1.0,
        "pixel_acc": 1.0,
    }


def test_pixels_are_summed_per_class_before_they_are_divided():
    # road: I 1 + 2, U 2 + 4 = 3/6; sky: 1/1; mIoU = 3/4. Targets: 2 + 2 + 1, hits 1 + 2 + 1: 4/5.
    found = scores(
        ("road", drawn("#..."), drawn("##..")), ("road", drawn("####"), drawn("##..")), ("sky", drawn("#"), drawn("#"))
    )
    assert found == {"mIoU": pytest.approx(3 / 4), "pixel_acc": pytest.approx(4 / 5)}


def test_an_absent_class_counts_only_where_it_was_predicted():
    road = ("road", drawn("##"), drawn("##"))
    assert scores(road, ("sky", None, drawn("..")))["mIoU"] == 1
    assert scores(road, ("sky", drawn("#."), drawn("..")))["mIoU"] == 1 / 2


def test_ignored_pixels_count_nowhere():
    assert scores(("road", drawn("##.."), drawn("#...")), ignored=drawn(".#.."))["mIoU"] == 1


def test_a_question_without_a_class_is_refused():
    with pytest.raises(ValueError, match="name of the class"):
        MeanIoU().measure(drawn("#"), drawn("#"))


def test_nothing_seen_is_nan_and_records_are_json():
    assert all(math.isnan(value) for value in scores().values())
    record = MeanIoU().measure(None, drawn("#."), category="road")
    assert json.loads(json.dumps(record)) == record == {"category": "road", "I": 0, "U": 1, "T": 1}


def test_label_maps_are_counted_class_by_class():
    # class 0: I 1, said 2, truth 2: U 3; class 1: I 1, said 1, truth 2: U 2; class 2: never; 9 is no class, 255 ignored
    counts = count_labels(np.array([[0, 0, 1, 9, 1]]), np.array([[0, 1, 1, 0, 255]]), classes=3)
    assert [list(values) for values in counts] == [[1, 1, 0], [3, 2, 0], [2, 2, 0]]
    found = label_scores(*counts)
    assert found["mIoU"] == pytest.approx((1 / 3 + 1 / 2) / 2) and found["pixel_acc"] == 2 / 4


@pytest.mark.parametrize("truth, message", [([[3]], "found 3..3"), ([[0, 0]], "truth is")])
def test_a_label_map_that_does_not_fit_is_refused(truth, message):
    with pytest.raises(ValueError, match=message):
        count_labels(np.array([[0]]), np.array(truth), classes=3)
