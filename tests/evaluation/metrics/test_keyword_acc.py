"""keyword_acc on cases counted by hand."""

import math

import pytest

from ullava.evaluation.metrics.base import METRICS

METRIC = METRICS["keyword_acc"]()


def score(*pairs):
    return METRIC.score([METRIC.measure(said, truth) for said, truth in pairs])["keyword_acc"]


def test_case_spaces_and_punctuation_do_not_count():
    assert score(("Red  ring.", ("red ring",)), ("t-shirt", ("T-shirt!",))) == 1


def test_a_part_of_a_keyword_is_wrong_and_so_is_a_missing_one():
    # 1 of 4: "ring" is not "red ring", nothing was said, nothing could be read
    pairs = ("ring", ("red ring",)), ("", ("ring",)), (None, ("ring",)), ("ring", ("ring",))
    assert score(*pairs) == pytest.approx(0.25)


def test_questions_without_a_keyword_are_not_counted():
    assert score(("ring", ("",)), ("ring", ("ring",))) == 1
    assert math.isnan(score(("", ("",))))


def test_any_of_several_true_keywords_is_right():
    assert score(("bin", ("trash can", "bin"))) == 1
