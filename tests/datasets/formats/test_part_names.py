"""Names of parts: written one way, read in three."""

import pytest

from ullava.datasets.formats.part_names import join, split


def test_a_name_is_read_back():
    assert split(join("left button", "mouse")) == ("left button", "mouse")


@pytest.mark.parametrize(
    "name", ["mouse_(computer_equipment):left_button", "left button of the mouse", "the left button of the mouse"]
)
def test_parts_are_known_however_they_are_spelt(name):
    assert split(name) == ("left button", "mouse")


@pytest.mark.parametrize("name", ["mouse", "", "glass of water", "mouse:", "of the mouse"])
def test_what_names_no_part_is_none(name):
    assert split(name) is None
