"""The published programs' own ways of scoring, each against what can be counted by hand."""

import numpy as np
import pytest

from ullava.configs.load import ConfigError, build
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import OWNER_PATTERN, Answer, Picture, Region, Sample
from ullava.evaluation.engine import questions
from ullava.evaluation.evaluator import evaluate, open_rows

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
TOP = np.array([[1, 1, 1, 1], [0, 0, 0, 0]], bool)
NONE = np.zeros((2, 4), bool)


def mask(drawn):
    packed = encode(drawn)
    return RunLengths(tuple(packed["size"]), packed["counts"])


class Numbered(list):
    """Samples of a dataset that numbers its classes."""

    names = {1: "wall", 2: "sky"}


class Draws:
    """Reads given answers only: the n-th [SEG] of a conversation gets the n-th mask."""

    generation = GenerationConfig(batch_size=2)

    def __init__(self, *masks):
        self.masks, self.conversations = masks, []

    def __call__(self, dialogues, *, given):
        assert given
        self.conversations += [len(dialogue.turns) for dialogue in dialogues]
        counts = [sum(promise.token == "[SEG]" for promise in dialogue.promises) for dialogue in dialogues]
        texts = [" ".join(turn.answer for turn in dialogue.turns) for dialogue in dialogues]
        assert counts == [OWNER_PATTERN.findall(text).count("[SEG]") for text in texts]
        return [Answer(text, {"mask": self.masks[:count]}) for text, count in zip(texts, counts, strict=True)]


@pytest.fixture
def score(monkeypatch, tmp_path):
    def run(samples, answerer, **row):
        monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: samples)
        row = build(EvaluationRow, {"dataset": "toy", "task": "res", "options": {"says": ["SEG"]}} | row, "test")
        return evaluate([row], answerer, own={}, output=tmp_path, run={}, progress=False)["rows"][0]

    return run


def referred(*regions):
    return Sample("toy/0", (Picture("0.png", (2, 4)),), regions)


TWO_THINGS = (
    Region(("one", "two", "three"), "cat", mask=mask(LEFT)),
    Region(tuple(f"number {n}" for n in range(12)), "dog", mask=mask(TOP)),
)


def test_ullava_asks_all_sentences_about_a_thing_in_one_conversation(score):
    model = Draws(*[LEFT.astype(np.float32)] * 10)
    row = score([referred(*TWO_THINGS)], model, protocol="ullava")
    assert sorted(model.conversations) == [2, 3, 10]  # three sentences, and twelve of which ten go into one
    # 3 right ones, and 12 that share 2 of 6 pixels with the top row.
    assert row["metrics"]["gIoU"] == pytest.approx((3 + 12 * 2 / 6) / 15)
    assert row["metrics"]["emission"] == 1 and row["metrics"]["unparseable"] == 0
    assert row["protocol"] == "ullava" and row["answers"] == "given"


def test_lisa_asks_each_sentence_by_itself(score):
    model = Draws(LEFT.astype(np.float32))
    row = score([referred(*TWO_THINGS)], model, protocol="lisa")
    assert model.conversations == [1] * 15
    assert row["metrics"]["gIoU"] == pytest.approx((3 + 12 * 2 / 6) / 15) and row["protocol"] == "lisa"


def test_lisa_asks_of_reasoning_the_first_text_alone():
    from ullava.evaluation.engine.protocols import open_protocol
    from ullava.evaluation.engine.questions import Question
    from ullava.tasks.base import TASKS

    eval_dialogues = list(TASKS.build("res", {"says": ["SEG"]}).eval_dialogues(referred(*TWO_THINGS)))
    row = EvaluationRow(dataset="toy", task="reasoning", protocol="lisa")
    arranged = open_protocol(row, None).arrange([Question(exam, exam) for exam in eval_dialogues])
    assert [question.meant.id for question in arranged] == ["toy/0#0"]


def test_lasagna_gives_every_pixel_a_class_and_the_void_to_class_0(score):
    # wall is the left half, sky the top right; the bottom right is void.
    sky = TOP & ~LEFT
    sample = referred(Region(category="wall", mask=mask(LEFT)), Region(category="sky", mask=mask(sky)))
    sample = Sample(sample.id, sample.media, sample.regions, ignored=mask(~LEFT & ~TOP))
    wall_said = np.where(TOP, 0.9, 0.0).astype(np.float32)  # the top row, surely
    sky_said = np.where(TOP & ~LEFT, 0.95, 0.4).astype(np.float32)  # top right, more surely; 0.4 claims nothing
    row = score(Numbered([sample]), Draws(wall_said, sky_said), task="semantic", protocol="lasagna")
    # Labels: top left wall, top right sky, the bottom row unclaimed: wall. Truth: the bottom right is wall.
    assert row["metrics"]["mIoU"] == 1 and row["metrics"]["pixel_acc"] == 1
    ours = score(Numbered([sample]), Draws(wall_said), task="semantic", answers="given")
    # wall: 2 of 4 + 2 pixels; sky by the same mask, 2 of 4.
    assert ours["metrics"]["mIoU"] == pytest.approx((2 / 6 + 2 / 4) / 2)


def test_lasagna_scores_class_0_where_the_truth_has_none(score):
    sample = referred(Region(category="sky", mask=mask(TOP)))
    model = Draws(np.where(LEFT, 1.0, 0.0).astype(np.float32))
    row = score(Numbered([sample]), model, task="semantic", protocol="lasagna")
    # sky 2 of 6; wall: the right half is unclaimed, so said, and is nowhere: 0 of 4.
    assert row["metrics"]["mIoU"] == pytest.approx((2 / 6 + 0) / 2)


def test_lasagna_needs_classes_with_numbers(monkeypatch):
    monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: [referred(*TWO_THINGS)])
    row = EvaluationRow(dataset="toy", task="semantic", protocol="lasagna")
    with pytest.raises(ValueError, match=r"evaluate\[0\]: protocol: 'lasagna' gives ignored pixels to class 0"):
        open_rows([row], {}, GenerationConfig())


def test_a_protocol_of_given_answers_takes_no_generated_ones():
    with pytest.raises(ConfigError, match="protocol 'lisa' scores given answers; leave `answers` out"):
        build(EvaluationRow, {"dataset": "toy", "task": "res", "protocol": "lisa", "answers": "generated"}, "test")
    row = EvaluationRow(dataset="toy", task="multi_target", protocol="lasagna")
    assert row.answers == "generated"
