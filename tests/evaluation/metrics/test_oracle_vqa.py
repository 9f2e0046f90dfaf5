"""VQA accuracy against the official program."""

import json

import pytest

from tests.shared import SHARED
from ullava.evaluation.metrics.vqa_accuracy import VqaAccuracy, normalise

FOLDER = SHARED / "oracles" / "vqa"
METRIC = VqaAccuracy(match="official")
pytestmark = [pytest.mark.shared, pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")]


@pytest.fixture(scope="module")
def sets():
    return json.loads((FOLDER / "expected.json").read_text())


def load(name):
    """Answer and references by question."""
    annotations = json.loads((FOLDER / f"{name}_annotations.json").read_text())["annotations"]
    references = {one["question_id"]: [answer["answer"] for answer in one["answers"]] for one in annotations}
    results = json.loads((FOLDER / f"{name}_results.json").read_text())
    return {str(one["question_id"]): (one["answer"], references[one["question_id"]]) for one in results}


def test_oracle_normalised_answers(sets):
    for name, expected in sets.items():
        for id, (answer, _) in load(name).items():
            assert normalise(answer) == expected["normalised_prediction"][id], (name, id)


def test_oracle_vqa_accuracy(sets):
    for name, expected in sets.items():
        records = {id: METRIC.measure(*pair) for id, pair in load(name).items()}
        for id, record in records.items():
            assert abs(100 * record["accuracy"] - expected["n=12"]["perQuestion"][id]) <= 1e-9, (name, id)
        found, primary = METRIC.score(list(records.values())), expected["primary"]["accuracy_percent"]
        assert abs(100 * found["accuracy"] - primary["value"]) <= primary["abs_tol"], name
