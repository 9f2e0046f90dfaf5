"""Pictures are drawn by hand as rows of `.` and `#`, and compared pixel by pixel."""

import numpy as np
import pytest

from ullava.evaluation.report.visualise import COLOURS, OPACITY, beside, enlarge, overlay


def draw(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def test_a_mask_is_tinted_inside_and_full_colour_at_its_edge():
    mask = draw(".....", ".###.", ".###.", ".###.", ".....")
    drawn = overlay(grey(5, 5), [mask], [])
    inside = [int((1 - OPACITY) * 100 + OPACITY * c) for c in COLOURS[0]]
    assert drawn[2, 2].tolist() == inside
    edge = mask & ~draw(".....", ".....", "..#..", ".....", ".....")
    assert (drawn[edge] == COLOURS[0]).all()
    assert (drawn[~mask] == 100).all()


def test_a_box_ends_before_its_outer_edge():
    drawn = overlay(grey(6, 8), [], [(1, 1, 6, 5)])
    ring = draw("........", ".#####..", ".#...#..", ".#...#..", ".#####..", "........")
    assert (drawn[ring] == COLOURS[0]).all()
    assert (drawn[~ring] == 100).all()


def test_the_second_thing_has_the_second_colour_each_time():
    boxes = [(0, 0, 4, 4), (4, 4, 8, 8)]
    first, second = overlay(grey(8, 8), [], boxes), overlay(grey(8, 8), [], boxes)
    assert first[4, 4].tolist() == list(COLOURS[1])
    assert (first == second).all()


def test_names_stay_inside_and_the_input_is_not_touched():
    picture = grey(64, 64)
    drawn = overlay(picture, [np.zeros((64, 64), bool)], [(60, 0, 64, 4)], ["a long name of a thing"])
    assert drawn.shape == picture.shape
    assert (picture == 100).all()
    assert (drawn != picture).any()


def test_an_empty_mask_and_an_inverted_box_draw_without_an_error():
    overlay(grey(9, 9), [np.zeros((9, 9), bool)], [(5, 5, 2, 2), (3, 3, 3, 3), (-4, -4, 40, 40)], ["", "x", "y"])


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"mask 0 is \(3, 3\), its picture \(4, 4\)"):
        overlay(grey(4, 4), [np.ones((3, 3), bool)], [])


def test_enlarging_multiplies_picture_mask_and_box_alike():
    picture, masks, boxes = enlarge(grey(2, 3), [draw("#..", "..#")], [(0, 0, 1, 2)], side=4)
    assert picture.shape == (4, 6, 3)
    assert (masks[0] == draw("##....", "##....", "....##", "....##")).all()
    assert boxes == [(0, 0, 2, 4)]


def test_large_pictures_are_not_enlarged():
    picture = grey(400, 500)
    assert enlarge(picture, [], [])[0] is picture


def test_panels_stand_side_by_side():
    row = beside([grey(2, 3), grey(4, 1)], gap=2)
    assert row.shape == (4, 6, 3)
    assert (row[:2, :3] == 100).all()
    assert (row[:, 3:5] == 255).all() and (row[2:, :3] == 255).all()
    assert (row[:, 5:] == 100).all()
