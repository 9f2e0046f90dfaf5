"""POPE's way to read yes and no, and its scores, by hand."""

import math

import pytest

from tests.shared import SHARED
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.structures import Answer
from ullava.evaluation.evaluator import evaluate
from ullava.evaluation.metrics.yes_no import YesNo, affirms


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("Yes", True), ("no", False), ("No, there is none.", False), ("There is not one.", False), ("It is there.", True),
     ("Yes. There is no other.", True), ("nothing", True), ("NO", True)],
)  # fmt: skip
def test_the_first_sentence_denies_or_affirms(answer, yes):
    """The last two are the published program's: it knows "no", "No" and "not" alone."""
    assert affirms(answer) is yes


def test_scores_count_yes_and_silence_is_wrong():
    metric = YesNo()
    said = [("yes", "yes"), ("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no"), (None, "yes"), ("", "no")]
    scores = metric.score([metric.measure(answer, (truth,)) for answer, truth in said])
    # TP 2, FP 1, FN 1 and a silent one, TN 1, of 7
    expected = {"accuracy": 3 / 7, "presence_precision": 2 / 3, "presence_recall": 2 / 4, "presence_F1": 4 / 7}
    assert scores == pytest.approx(expected | {"yes": 3 / 7})


def test_nothing_seen_and_a_truth_that_is_no_answer():
    assert all(math.isnan(value) for value in YesNo().score([]).values())
    with pytest.raises(ValueError, match="expected a truth of yes or no, found 'a cat'"):
        YesNo().measure("yes", ("a cat",))


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "realdata").is_dir(), reason=f"no real samples below {SHARED}")
def test_popes_own_questions_tell_who_looks_from_who_agrees(monkeypatch):
    """As many things are there as are not: who always agrees is right in half."""
    monkeypatch.setenv("ULLAVA_SHARED", str(SHARED))
    row = EvaluationRow(dataset="pope_sample", task="vqa", metrics=["yes_no"])

    class Says:
        generation = GenerationConfig()

        def __init__(self, words):
            self.words = words

        def __call__(self, dialogues, *, given):
            return [Answer(self.words or dialogue.turns[-1].answer) for dialogue in dialogues]

    looks, agrees = (
        evaluate([row], Says(words), own={}, run={}, progress=False)["rows"][0]["metrics"] for words in (None, "Yes.")
    )
    assert looks["accuracy"] == looks["presence_F1"] == 1 and looks["yes"] == pytest.approx(agrees["accuracy"])
    assert agrees["yes"] == agrees["presence_recall"] == 1 and 0.3 < agrees["accuracy"] < 0.7
