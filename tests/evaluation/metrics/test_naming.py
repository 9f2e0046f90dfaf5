import math

import pytest

from ullava.evaluation.metrics.naming import Naming

METRIC = Naming()


def score(*pairs):
    return METRIC.score([METRIC.measure(said, names) for said, names in pairs])["names_object"]


def test_names_are_whole_words_in_any_case():
    assert score(("The Spoon, of course.", ["spoon"])) == 1
    assert score(("teaspoons are there", ["spoon"])) == 0
    assert score(("a swim cap on a head", ["hat", "swim cap"])) == 1
    assert score(("a cap to swim in", ["swim cap"])) == 0


def test_no_explanation_is_wrong_and_what_has_no_name_is_not_counted():
    """Right, missing, unreadable; and two that nobody named: 1 of 3."""
    assert score(("a cat", ["cat"]), ("", ["cat"]), (None, ["cat"]), ("a dog", [""]), ("", [])) == pytest.approx(1 / 3)
    assert math.isnan(score(("a dog", [""])))
