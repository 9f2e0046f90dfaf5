"""Box IoU and Acc@0.5 against torchvision, in float64."""

import json

import pytest

from tests.shared import SHARED
from ullava.evaluation.metrics.box_accuracy import BoxAccuracy, box_iou

FOLDER = SHARED / "oracles" / "rec"
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")]


@pytest.fixture(scope="module")
def boxes():
    return json.loads((FOLDER / "boxes.json").read_text())["boxes"]


@pytest.fixture(scope="module")
def expected():
    return json.loads((FOLDER / "expected.json").read_text())


def test_oracle_box_iou(boxes, expected):
    tolerance = expected["primary"]["per_box_abs_tol"]
    for box, other in zip(boxes, expected["per_box"], strict=True):
        assert box["id"] == other["id"]
        value = other["torchvision_f64"]
        if isinstance(value, float) and value >= 0 and proper(box["pred"]) and proper(box["gt"]):
            assert abs(box_iou(box["pred"], box["gt"]) - value) <= tolerance, box["id"]
        else:
            assert box_iou(box["pred"], box["gt"]) == 0, box["id"]  # 0/0 or inside out: a miss


def proper(box):
    return box[2] > box[0] and box[3] > box[1]


def test_oracle_box_accuracy(boxes, expected):
    metric = BoxAccuracy()
    records = {box["id"]: metric.measure(box["pred"], box["gt"]) for box in boxes}
    primary = expected["primary"]
    every = primary["Acc@0.5_float64"]
    assert len(records) == every["n"]
    assert abs(metric.score(list(records.values()))["acc@0.5"] - every["value"]) <= every["abs_tol"]
    clear = [record for id, record in records.items() if id not in expected["knife_edge"]["0.5"]]
    part = primary["Acc@0.5_without_knife_edge_boxes"]
    assert len(clear) == part["n"] and abs(metric.score(clear)["acc@0.5"] - part["value"]) <= part["abs_tol"]
