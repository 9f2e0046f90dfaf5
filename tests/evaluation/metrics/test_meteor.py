"""METEOR's formula by hand, and its program where it is."""

import numpy as np
import pytest

from ullava.evaluation.metrics.captions import meteor
from ullava.evaluation.metrics.captions.meteor import Meteor

PERFECT = [2, 2, 1, 1, 1, 1, 1, 1, *[0] * 12, 0, 2, 2]  # "a cat" for "a cat"
HALF = [2, 2, 1, 1, 0, 0, 1, 1, *[0] * 12, 1, 1, 1]  # "a dog" for "a cat"


def test_the_formula_by_hand():
    """Weighted words 0.75 + 0.25 = 1 on both sides; of "a dog" only the function word matches: P = R = 0.25."""
    assert meteor.meteor(np.array(PERFECT)) == 1
    assert meteor.meteor(np.array(HALF)) == pytest.approx(0.25 * (1 - 0.6 * 1**0.2))
    both = np.array(PERFECT) + np.array(HALF)  # P = R = 1.25 / 2, one chunk of three words
    assert meteor.meteor(both) == pytest.approx(0.625 * (1 - 0.6 * (1 / 3) ** 0.2))
    assert meteor.meteor(np.zeros(23)) == 0


def test_what_is_lacking_is_said(monkeypatch):
    monkeypatch.setattr(meteor, "is_there", lambda: False)
    with pytest.raises(FileNotFoundError, match="pip install pycocoevalcap"):
        Meteor()


@pytest.mark.slow
@pytest.mark.skipif(not meteor.is_there(), reason="no Java, or no METEOR")
def test_the_program_and_the_formula_together():
    metric = Meteor()
    records = [metric.measure("A cat.", ["a cat", "the dog"]), metric.measure(None, ["a cat"])]
    assert [metric.score([record])["METEOR"] for record in records] == [1, 0]
    assert metric.score(records)["METEOR"] == pytest.approx(0.5 / (0.85 + 0.15 * 0.5))  # P = 1, R = 1 / 2
    assert np.isnan(metric.score([])["METEOR"])
