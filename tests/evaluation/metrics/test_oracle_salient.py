"""Saliency scores against PySODMetrics 1.6.2."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED
from ullava.evaluation.metrics.saliency import Saliency

ORACLES = SHARED / "oracles"
FOLDER = ORACLES / "salient"
NAMES = {"MAE": "MAE", "S": "Smeasure", "wF": "wFmeasure"}
NAMES |= {f"{kind}{of}": f"{kind}{of}m" for of in "FE" for kind in ("adp", "max", "mean")}
METRIC = Saliency()
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")]


@pytest.fixture(scope="module")
def expected():
    return json.loads((FOLDER / "expected.json").read_text())


@pytest.fixture(scope="module")
def records():
    """By picture, measured on probabilities k / 255 in float32, as a mask head gives them."""
    cases = json.loads((FOLDER / "cases.json").read_text())
    return {case["id"]: METRIC.measure(np.float32(read(case["pred"]) / 255), read(case["gt"]) > 128) for case in cases}


def read(path):
    return np.array(Image.open(ORACLES / path).convert("L"))


def test_oracle_saliency_per_picture(records, expected):
    for id, values in expected["per_image"].items():
        found = METRIC.score([records[id]])
        for ours, theirs in NAMES.items():
            assert abs(found[ours] - values[theirs]) <= 1e-9, (id, ours)


@pytest.mark.parametrize("part", ["all", "regular_only"])
def test_oracle_saliency_of_the_set(records, expected, part):
    ids = expected["regular_ids"] if part == "regular_only" else list(expected["per_image"])
    found = METRIC.score([records[id] for id in ids])
    primary = expected[f"primary_dataset_{part}"]
    assert NAMES.keys() == found.keys() and set(NAMES.values()) == primary.keys()
    for ours, theirs in NAMES.items():
        assert abs(found[ours] - primary[theirs]["value"]) <= primary[theirs]["abs_tol"], ours
