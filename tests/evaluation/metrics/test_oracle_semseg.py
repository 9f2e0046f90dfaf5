"""mIoU and pixel accuracy against mmsegmentation and hszhao/semseg, as label maps and as one question per class."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED
from ullava.evaluation.metrics.mean_iou import MeanIoU, count_labels, label_scores

ORACLES = SHARED / "oracles"
FOLDER = ORACLES / "semseg"
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")]


@pytest.fixture(scope="module")
def suites():
    expected = json.loads((FOLDER / "expected.json").read_text())
    return [(suite, expected[suite["suite"]]) for suite in json.loads((FOLDER / "cases.json").read_text())]


def maps(suite):
    for pair in suite["pairs"]:
        yield tuple(np.array(Image.open(ORACLES / pair[key])) for key in ("pred", "gt"))


def check(found, primary, name):
    for score in ("mIoU", "pixel_acc"):
        value = float(primary[score]["value"])
        same = math.isnan(found[score]) if math.isnan(value) else abs(found[score] - value) <= primary[score]["abs_tol"]
        assert same, (name, score, found[score], value)


def test_oracle_label_maps(suites):
    for suite, expected in suites:
        counts = [count_labels(*pair, suite["num_classes"], suite["ignore_index"]) for pair in maps(suite)]
        total = np.sum(counts, axis=0)
        for values, key in zip(total, ("inter", "union", "target"), strict=True):
            assert values.tolist() == expected["semseg_hszhao"][key], suite["suite"]
        check(label_scores(*total), expected["primary"], suite["suite"])


def test_oracle_one_question_per_class(suites):
    metric = MeanIoU()
    for suite, expected in suites:
        records = []
        for prediction, truth in maps(suite):
            ignored = truth == suite["ignore_index"]
            for label in np.union1d(prediction, truth[~ignored]):
                masks = prediction == label, truth == label
                records.append(metric.measure(*masks, category=str(label), ignored=ignored))
        check(metric.score(records), expected["primary"], suite["suite"])
