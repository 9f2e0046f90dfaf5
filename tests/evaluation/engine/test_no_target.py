"""Generalised RES: several things together, or none, scored question by question from what the answer says."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Answer, Dialogue, Picture, Promise, Region, Sample, Turn
from ullava.datasets.tiny_world import originals
from ullava.datasets.tiny_world.world import draw_world
from ullava.evaluation.engine import opening
from ullava.evaluation.engine.predictions import read_predictions
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.evaluator import evaluate
from ullava.evaluation.report.answer_defects import answer_defects
from ullava.evaluation.report.best_worst import quality
from ullava.evaluation.score.score import main as score

LEFT, RIGHT = (np.array([[cell == "#" for cell in row]] * 2) for row in ("##..", "..##"))
SOFT = {"left": LEFT.astype(np.float32), "right": RIGHT.astype(np.float32), "nothing": np.zeros((2, 4), np.float32)}


def question(name: str, *meant: np.ndarray) -> Question:
    """One about the things that are `meant`, a [SEG] each; about none, and the answer is [NEG]."""
    packed = [encode(mask) for mask in meant]
    regions = tuple(Region(("it",), "thing", mask=RunLengths(tuple(one["size"]), one["counts"])) for one in packed)
    sample = Sample(f"toy/{name}", (Picture(f"{name}.png", (2, 4)),), regions)
    turns = (Turn("Where?", "[SEG] " * len(meant) or "[NEG]"),)
    dialogue = Dialogue(f"toy/{name}#0", sample, turns, tuple(Promise("[SEG]", region, 0) for region in regions))
    return Question(dialogue, dialogue)


QUESTIONS = {"both": question("both", LEFT, RIGHT), "left": question("left", LEFT), "none": question("none")}


@dataclass
class Draws:
    """Draws what it is told to, mask by mask; says [NEG] where that is nothing."""

    said: dict[str, tuple[str, ...]]
    generation = GenerationConfig()

    def __call__(self, dialogues, *, given):
        names = [self.said[dialogue.sample.id.removeprefix("toy/")] for dialogue in dialogues]
        return [Answer("[SEG] " * len(all) or "[NEG]", {"mask": tuple(SOFT[one] for one in all)}) for all in names]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Evaluates all three questions; returns the row's scores and its lines."""
    monkeypatch.setattr(opening, "open_questions", lambda *given: list(QUESTIONS.values()))
    monkeypatch.setattr(opening, "open_reader", lambda *given: [None])
    row = EvaluationRow(dataset="toy", task="res", metrics=["generalised_iou"])

    def scored(**said):
        found = evaluate([row], Draws(said), own={}, output=tmp_path, run={}, progress=False)["rows"][0]
        return found["metrics"], {line["id"][4:-2]: line for line in read_predictions(tmp_path / "predictions.jsonl")}

    return scored


def test_masks_of_one_answer_count_together(run):
    metrics, _ = run(both=("right", "left"), left=("left",), none=())
    assert metrics["gIoU"] == metrics["cIoU"] == metrics["N-acc"] == metrics["T-acc"] == 1


def test_what_is_drawn_beyond_the_promise_counts_against_it(run):
    metrics, lines = run(both=("left",), left=("left", "right"), none=("left",))
    # IoU: both 4 of 8, left 4 of 8, none 0; I = 4 + 4 + 0, U = 8 + 8 + 4
    assert metrics["gIoU"] == pytest.approx(1 / 3) and metrics["cIoU"] == pytest.approx(8 / 20)
    assert metrics["N-acc"] == 0 and metrics["T-acc"] == 1
    assert [quality(lines[name]) for name in QUESTIONS] == [0.5, 0.5, 0]
    assert answer_defects(lines["none"]) == ["wrong count", "unparseable"]


def test_silence_and_empty_masks_both_say_that_there_is_nothing(run):
    metrics, lines = run(both=("nothing",), left=(), none=("nothing",))
    assert metrics["N-acc"] == 1 and metrics["T-acc"] == 0 and metrics["gIoU"] == pytest.approx(1 / 3)
    assert quality(lines["none"]) == 1 and quality(lines["left"]) == 0


def test_the_lines_give_the_scores_again(run, tmp_path):
    metrics, _ = run(both=("left",), left=("left", "right"), none=("right",))
    score(["predictions", "--pred", str(tmp_path / "predictions.jsonl"), "--out", str(tmp_path / "again.json")])
    again = read_results(tmp_path / "again.json")["rows"][0]["metrics"]
    assert json.dumps(again) == json.dumps(json.loads(json.dumps(metrics)))


class Truthful:
    """Says what is written, and draws what is promised."""

    generation = GenerationConfig()

    def __call__(self, dialogues, *, given):
        return [self.answer(dialogue) for dialogue in dialogues]

    def answer(self, dialogue):
        masks = [one.region.mask.draw().astype(np.float32) for one in dialogue.promises if one.token == "[SEG]"]
        return Answer(dialogue.turns[-1].answer, {"mask": tuple(masks)})


class Stubborn(Truthful):
    """Finds everything everywhere."""

    def answer(self, dialogue):
        return Answer("Sure. Mask: [SEG].", {"mask": (np.ones(dialogue.sample.media[0].size, np.float32),)})


@pytest.mark.parametrize("no_target", ["neg", "empty_mask"])
def test_grefcoco_is_scored_from_its_files(tmp_path, monkeypatch, no_target):
    originals.grefcoco(draw_world(tmp_path / "drawn", "tiny_test", 3, 0), tmp_path / "data")
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path / "data"))
    options = {"no_target": no_target, "says": ["SEG"]}
    row = EvaluationRow(dataset="grefcoco_val", task="res", metrics=["generalised_iou"], options=options)
    for model, right in ((Truthful(), 1), (Stubborn(), 0)):
        metrics = evaluate([row], model, own={}, run={}, progress=False)["rows"][0]["metrics"]
        assert metrics["N-acc"] == right and metrics["T-acc"] == 1 and (metrics["gIoU"] == 1) is bool(right)
        assert (metrics["emission"] == 1) is bool(right or no_target == "empty_mask")
