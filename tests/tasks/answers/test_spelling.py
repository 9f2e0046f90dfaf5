"""Which class a name means."""

from ullava.tasks.answers.spelling import meant

KNOWN = ("traffic light", "traffic sign", "sky")


def test_exactly_a_name_means_itself_alone():
    assert meant("sky", KNOWN, 1.0) == "sky" and meant("skies", KNOWN, 1.0) is None


def test_a_name_like_enough_is_taken_for_the_likest():
    # "trafic light": 12 letters, all among the 13 of "traffic light" in order: 2 * 12 / 25 = .96.
    assert meant("trafic light", KNOWN, 0.96) == "traffic light"
    assert meant("trafic light", KNOWN, 0.97) is None


def test_at_0_every_name_means_something():
    assert meant("qqq", KNOWN, 0.0) in KNOWN and meant("qqq", (), 0.0) is None
