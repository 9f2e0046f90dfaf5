"""Answers that name classes, on label maps that mmsegmentation and LaSagnA's own program have scored."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.formats.mask_pictures import LabelPixels
from ullava.datasets.structures import Answer, Picture, Region, Sample
from ullava.evaluation.engine import questions
from ullava.evaluation.evaluator import evaluate

ORACLES = SHARED / "oracles"
ORACLE = ORACLES / "semseg"
IGNORED = 255

pytestmark = [pytest.mark.shared, pytest.mark.skipif(not ORACLE.is_dir(), reason=f"{ORACLE} is not here")]


def suites():
    path = ORACLE / "cases.json"
    return json.loads(path.read_text()) if path.is_file() else []


def name_of(value):
    return f"class {value:03d}"


def sample(path: Path, classes: int):
    labels = np.asarray(Image.open(path))
    there = [value for value in np.unique(labels).tolist() if value != IGNORED]
    regions = tuple(Region(category=name_of(value), mask=LabelPixels(path, (value,))) for value in there)
    absent = tuple(name_of(value) for value in range(classes) if value not in there)
    return Sample(path.name, (Picture(path, labels.shape),), regions, absent, ignored=LabelPixels(path, (IGNORED,)))


class Says:
    """Says and draws what a label map holds."""

    generation = GenerationConfig(batch_size=4)

    def __init__(self, maps):
        self.maps = maps

    def __call__(self, dialogues, *, given):
        return [self.answer(np.asarray(Image.open(self.maps[dialogue.sample.id]))) for dialogue in dialogues]

    def answer(self, labels):
        said = [value for value in np.unique(labels).tolist() if value != IGNORED]
        text = "".join(f"{name_of(value)}[SEG]" for value in said)
        return Answer(text, {"mask": tuple(np.float32(labels == value) for value in said)})


@pytest.mark.parametrize("protocol", ["ullava_trainer", "lasagna"])
@pytest.mark.parametrize("suite", suites(), ids=lambda suite: suite["suite"])
def test_label_maps_score_as_the_published_programs_say(suite, protocol, monkeypatch):
    expected, classes = json.loads((ORACLE / "expected.json").read_text())[suite["suite"]], suite["num_classes"]
    paths = [(ORACLES / pair["gt"], ORACLES / pair["pred"]) for pair in suite["pairs"]]

    class Numbered(list):
        names = {value: name_of(value) for value in range(classes)}

    samples = Numbered(sample(truth, classes) for truth, _ in paths)
    monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: samples)
    row = EvaluationRow(dataset="toy", task="multi_target", protocol=protocol)
    said = Says({truth.name: prediction for truth, prediction in paths})
    found = evaluate([row], said, own={}, run={}, progress=False)["rows"][0]["metrics"]["mIoU"]
    value = float(expected["lasagna_as_run"]["mIoU"] if protocol == "lasagna" else expected["primary"]["mIoU"]["value"])
    assert found == pytest.approx(value, abs=2e-6, nan_ok=True)
