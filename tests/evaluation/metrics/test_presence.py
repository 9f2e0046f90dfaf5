import math

import pytest

from ullava.configs.tokens import NEG, SEG
from ullava.evaluation.engine.scoring import called_absent, called_there
from ullava.evaluation.metrics.presence import Presence
from ullava.tasks.base import Reading

METRIC = Presence()


def test_counts_by_hand():
    """cat right, dog missed; tree false, and a unicorn that nobody asked for: TP 1, FP 2, FN 1; then all right."""
    first = METRIC.measure(["cat", "tree", "unicorn"], (["cat", "dog"], ["tree", "car"]))
    assert first == {"TP": 1, "FP": 2, "FN": 1, "TN": 1}
    second = METRIC.measure(["cat"], (["cat"], []))
    found = METRIC.score([first, second])
    assert found["presence_precision"] == pytest.approx(2 / 4)
    assert found["presence_recall"] == pytest.approx(2 / 3)
    assert found["presence_F1"] == pytest.approx(4 / 7)


def test_an_empty_answer_misses_everything():
    found = METRIC.score([METRIC.measure(None, (["cat"], ["dog"]))])
    assert found["presence_recall"] == found["presence_F1"] == 0 and math.isnan(found["presence_precision"])
    assert all(math.isnan(score) for score in METRIC.score([]).values())


def test_an_answer_denies_the_names_that_stand_beside_neg():
    reading = Reading("", (SEG, NEG, SEG), ("cat", "tree", "dog"))
    assert called_there(reading) == ["cat", "dog"] and called_absent(reading) == ["tree"]
    assert called_there(Reading("", (SEG,), ("cat", "dog"))) == ["cat", "dog"]  # without [NEG] nothing is denied
    assert called_there(None) == called_absent(None) == []
