"""Models that do not do what they were taught: right scores, their shares told, and nothing crashes.

Each task of the embedded world is asked of a model that says nothing it should, too much, or rubbish.
"""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.images import read
from ullava.datasets.structures import OWNER_PATTERN, Answer, Picture
from ullava.datasets.tiny_world.world import draw_world
from ullava.evaluation.evaluator import evaluate
from ullava.evaluation.report.report import write_report

REGIONS = ("res", "rec", "salient", "semantic", "multi_target")
WORDS = ("vqa", "captioning", "video_captioning")
TRUE = {"res": "gIoU", "salient": "gIoU", "semantic": "mIoU", "multi_target": "mIoU", "rec": "acc@0.5"}


def nothing(dialogue, rng):
    return "I am sorry, there is nothing."


def silence(dialogue, rng):
    return ""


def too_many(dialogue, rng):
    return dialogue.turns[-1].answer + " Mask: [SEG]; Location: [LOC]." * 3


def rubbish(dialogue, rng):
    scored = ["[SEG]", "[LOC]", "[tag]", "[/tag]", "<image>", "</s>", "\x00", "\n", '"', ";"]
    return " ".join(rng.choice([*scored, "Sure.", "Mask:", "猫", "0.5, 0.5"], 12))


@dataclass
class Odd:
    """A model with a way of speaking; its heads draw the truth first and then chance, a mask for each token said."""

    speaks: object
    generation = GenerationConfig(batch_size=7)

    def __call__(self, dialogues, *, given):
        return [self.answer(dialogue) for dialogue in dialogues]

    def answer(self, dialogue):
        rng = np.random.default_rng(sum(map(ord, dialogue.id)))
        text = self.speaks(dialogue, rng)
        said = OWNER_PATTERN.findall(text)
        if not said or not isinstance(dialogue.sample.media[0], Picture):
            return Answer(text)
        size = read(dialogue.sample.media[0]).shape[:2]
        true = [promise.region for promise in dialogue.promises if promise.token == "[SEG]" and promise.region.mask]
        masks = [region.mask.draw().astype(np.float32) for region in true][: said.count("[SEG]")]
        masks += [rng.random(size, np.float32) for _ in range(said.count("[SEG]") - len(masks))]
        real = [promise.region.box for promise in dialogue.promises if promise.token == "[LOC]"][: said.count("[LOC]")]
        inside_out = (9.0, 9.0, 1.0, 1.0)
        boxes = [box or inside_out for box in real] + [inside_out] * (said.count("[LOC]") - len(real))
        return Answer(text, {"mask": tuple(masks), "box": tuple(boxes)})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    place = tmp_path_factory.mktemp("robustness")
    draw_world(place / "tiny_world", "tiny_test", 8, 3)
    return place


@pytest.fixture
def score(world, tmp_path, monkeypatch):
    """All tasks' rows by name, whose files and page were written, too."""
    monkeypatch.setenv("ULLAVA_DATA", str(world))
    rows = [EvaluationRow(dataset="tiny_test", task=task) for task in (*REGIONS, *WORDS)]

    def run(speaks):
        found = evaluate(rows, Odd(speaks), own={}, output=tmp_path, run={}, progress=False)["rows"]
        files = [tmp_path / name for name in ("results.json", "predictions.jsonl")]
        write_report(tmp_path / "report.html", *files, {}, {}, pictures=2)
        counted = sum(row["count"] for row in found)
        assert len(files[1].read_text().splitlines()) == counted and json.loads(files[0].read_text())["rows"]
        return {row["task"]: row for row in found}

    return run


@pytest.mark.parametrize("speaks", [nothing, silence])
def test_a_model_that_never_says_a_token_misses_everything(score, speaks):
    rows = score(speaks)
    for task in REGIONS:
        metrics = rows[task]["metrics"]
        assert metrics[TRUE[task]] == 0 and metrics["emission"] == 0 and metrics["unparseable"] == 1
    assert rows["salient"]["metrics"]["MAE"] > 0  # an empty map against the truth
    for task in WORDS:
        assert rows[task]["metrics"]["emission"] == 1  # nothing was promised


def test_what_is_said_too_much_counts_in_the_form_alone(score):
    rows = score(too_many)
    for task in set(REGIONS) - {"rec"}:  # the first masks are the promised ones, and right
        metrics = rows[task]["metrics"]
        assert metrics[TRUE[task]] == 1 and metrics["emission"] == 0 and metrics["unparseable"] == 1
    for task in WORDS:
        assert rows[task]["metrics"]["emission"] == 0 and rows[task]["metrics"]["unparseable"] == 1


def test_rubbish_is_scored_and_counted(score):
    rows = score(rubbish)
    for row in rows.values():
        assert row["metrics"]["unparseable"] > 0.5 and row["count"] > 0
        assert all(math.isnan(value) or 0 <= value <= 10 for value in row["metrics"].values())
