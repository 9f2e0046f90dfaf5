"""Mask scores against LISA, LAVT and ReLA, run on the same masks."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED
from ullava.evaluation.metrics.generalised_iou import GeneralisedIoU
from ullava.evaluation.metrics.mask_iou import MaskIoU, overlap

ORACLES = SHARED / "oracles"
FOLDER = ORACLES / "res"
GENERALISED = {"N_acc": "N-acc", "T_acc": "T-acc", "Pr@0.7": "P@0.7", "Pr@0.8": "P@0.8", "Pr@0.9": "P@0.9"}
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")]


@pytest.fixture(scope="module")
def cases():
    return json.loads((FOLDER / "cases.json").read_text())


@pytest.fixture(scope="module")
def expected():
    return json.loads((FOLDER / "expected.json").read_text())


def draw(mask):
    """Prediction, truth, and ignored pixels of one mask of the cases."""
    labels = np.array(Image.open(ORACLES / mask["gt"]))
    return np.array(Image.open(ORACLES / mask["pred"])) > 0, labels == 1, labels == 255


def within(found, values):
    return {name: (found[name], value["value"]) for name, value in values.items()
            if abs(found[name] - value["value"]) > value["abs_tol"]}  # fmt: skip


def test_oracle_pixels(cases, expected):
    for case in cases:
        for mask, counts in zip(case["masks"], expected["per_case"][case["id"]]["masks"], strict=True):
            assert overlap(*draw(mask)) == (counts["I"], counts["U"], counts["T"]), case["id"]


def members(suite, cases):
    """The cases of a suite; some suites are unions of others."""
    if suite == "ALL":
        return cases
    unions = {"ALL_plain_multi": ("plain", "multi"), "ALL_with_notarget": ("plain", "multi", "notarget")}
    return [case for case in cases if case["suite"] in unions.get(suite, (suite,))]


def test_oracle_mask_scores(cases, expected):
    metric = MaskIoU()
    for name, suite in expected["suites"].items():
        masks = [mask for case in members(name, cases) for mask in case["masks"]]
        assert len(masks) == suite["n_masks"], name
        records = []
        for mask in masks:
            prediction, truth, ignored = draw(mask)
            records.append(metric.measure(prediction, truth, ignored=ignored))
        found, primary = metric.score(records), suite["primary"]
        assert not within(found, {key: primary[key] for key in ("gIoU", "cIoU")}), name
        if "oIoU" in primary:
            assert not within({"oIoU": found["cIoU"]}, {"oIoU": primary["oIoU"]}), name
        assert not within(found, {f"P@{t}": value for t, value in primary.get("precision", {}).items()}), name


def test_oracle_generalised_scores(cases, expected):
    metric = GeneralisedIoU()
    for name, suite in expected["suites"].items():
        if "generalised" not in suite["primary"]:
            continue
        records = []
        for mask in (mask for case in members(name, cases) for mask in case["masks"]):
            prediction, truth, _ = draw(mask)
            records.append(metric.measure(prediction, truth, says_no_target=mask["pred_no_target"]))
        values = {GENERALISED.get(key, key): value for key, value in suite["primary"]["generalised"].items()}
        assert not within(metric.score(records), values), name
