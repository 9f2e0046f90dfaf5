"""Connected parts of masks, and the boxes around them."""

import numpy as np
import pytest

from ullava.datasets.components import boxes_of, without_crumbs

ROWS = (
    "##....#",
    "##.....",
    "..#....",  # touches the first part at a corner
    ".......",
    "....##.",
)
MASK = np.array([[cell == "#" for cell in row] for row in ROWS])
FIRST, SECOND, CRUMB = (0.0, 0.0, 3.0, 3.0), (4.0, 4.0, 6.0, 5.0), (6.0, 0.0, 7.0, 1.0)  # of 5, 2 and 1 pixels


def test_parts_that_touch_at_a_corner_are_one():
    assert without_crumbs(MASK, 0.5).sum() == 5


@pytest.mark.parametrize(("least", "pixels", "left"), [(0, 0, 8), (0.3, 0, 7), (0.4, 0, 7), (0.41, 0, 5), (0, 6, 0)])
def test_a_part_needs_its_share_of_the_largest_and_its_pixels(least, pixels, left):
    assert without_crumbs(MASK, least, pixels).sum() == left


def test_boxes_are_of_all_of_the_largest_or_of_each():
    assert boxes_of(MASK, least=0, pixels=0) == [(0.0, 0.0, 7.0, 5.0)]
    assert boxes_of(MASK, "largest", least=0, pixels=0) == [FIRST]
    assert boxes_of(MASK, "each", least=0, pixels=0) == [FIRST, SECOND, CRUMB]
    assert boxes_of(MASK, "each", least=0, pixels=2) == [FIRST, SECOND]


@pytest.mark.parametrize("mask", [np.zeros((3, 3), bool), np.ones((7, 9), bool)])
def test_where_nothing_is_left_there_is_no_box(mask):
    for join in ("union", "largest", "each"):
        assert boxes_of(mask, join) == []  # 63 pixels; a part needs 64


def test_a_full_mask_is_its_own_box():
    assert boxes_of(np.ones((8, 9), bool)) == [(0.0, 0.0, 9.0, 8.0)]
    np.testing.assert_array_equal(without_crumbs(np.ones((8, 9), bool), 0.1), np.ones((8, 9), bool))
