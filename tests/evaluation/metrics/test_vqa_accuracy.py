"""Accuracy of answers."""

import json
import math

import pytest

from ullava.evaluation.metrics.vqa_accuracy import RESTORED, VqaAccuracy, normalise


def accuracy(answer, references, match="auto"):
    return VqaAccuracy(match=match).measure(answer, references)["accuracy"]


@pytest.mark.parametrize("agreeing, expected", [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1)])
def test_agreement_is_counted_with_each_person_left_out(agreeing, expected):
    # with 3: three of the ten subsets hold 2 of them (2/3), seven hold all (1): 3 * 2/3 + 7 = 9 of 10
    assert accuracy("red", ["red"] * agreeing + ["blue"] * (10 - agreeing)) == pytest.approx(expected)


def test_answers_are_normalised_only_where_people_differ():
    assert accuracy("Yes", ["yes"] * 10) == 0 and accuracy(" yes\n", ["yes"] * 10) == 1
    assert accuracy("Yes.", ["yes"] * 9 + ["no"]) == 1


def test_an_answer_that_could_not_be_read_is_wrong():
    assert accuracy(None, [""] * 10) == 0


def test_few_references_are_compared_exactly():
    assert accuracy("The table", ("table",)) == accuracy("2", ("a", "two"), "exact") == 1
    assert accuracy("chair", ("table",)) == 0
    with pytest.raises(ValueError, match="use match: exact"):
        accuracy("chair", ("chair",), "official")


def test_a_set_has_no_order():
    assert accuracy("chair, a table", ("table, chair",), "set") == 1
    assert accuracy("chair", ("table, chair",), "set") == 0


@pytest.mark.parametrize(
    "text, expected",
    [
        ("A dog, the cat", "dog cat"),
        ("none", "0"),
        ("1,000 red/white", "1000 redwhite"),  # a comma between digits: every mark is deleted
        ("red/white", "red white"),
        ("dont", "don't"),
        ("couldnt've couldn'tve", "couldn't've couldn't've"),
        ("p.m. 5.30", "pm 5.30"),
        ("50% of $5 at 5:30", "50% of $5 at 5:30"),
    ],
)
def test_normalisation(text, expected):
    assert normalise(text) == expected


def test_a_missing_apostrophe_is_restored_but_where_that_makes_another_word():
    assert RESTORED["youre"] == "you're" and RESTORED["y'alld've"] == "y'all'd've"
    assert not {"its", "were", "wed", "shed", "lets"} & RESTORED.keys()


def test_an_unknown_match_is_refused():
    with pytest.raises(ValueError, match="there are: auto, official, exact, set"):
        VqaAccuracy(match="fuzzy")


def test_scores_are_means_and_records_are_json():
    metric = VqaAccuracy()
    records = [metric.measure(answer, ("red",)) for answer in ("red", "red", "blue", None)]
    assert metric.score(json.loads(json.dumps(records))) == {"accuracy": 0.5}
    assert math.isnan(metric.score([])["accuracy"])
