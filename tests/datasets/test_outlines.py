"""Polygons against pixels that OpenCV 5.0 drew (fillPoly; 3000 random triangles agreed, lines that turn back aside)."""

import numpy as np

from ullava.datasets.outlines import fill, outlines


def drawn(points, size):
    return ["".join(".#"[value] for value in row) for row in fill(points, size).astype(int)]


def test_the_outline_belongs_to_a_polygon():
    assert drawn([(1, 1), (3, 1), (3, 2), (1, 2)], (4, 5)) == [".....", ".###.", ".###.", "....."]


def test_a_triangle_is_filled_as_opencv_fills_it():
    """cv2.fillPoly(np.zeros((5, 8)), [[[0, 0], [7, 2], [2, 4]]], 1)."""
    assert drawn([(0, 0), (7, 2), (2, 4)], (5, 8)) == [
        "##......",
        "######..",
        ".#######",
        ".#####..",
        "..##....",
    ]


def test_crossing_edges_leave_a_hole():
    star = [(4, 0), (7, 8), (0, 3), (8, 3), (1, 8)]
    assert not fill(star, (9, 9))[4, 4] and fill(star, (9, 9))[6, 4]


def test_corners_outside_are_cut_off():
    whole = fill([(-3, -3), (20, -3), (20, 20), (-3, 20)], (4, 5))
    assert whole.all() and whole.shape == (4, 5)
    assert not fill([(-9, -9), (-5, -9), (-5, -5)], (4, 5)).any()


def test_points_and_lines_cover_what_they_touch():
    assert np.argwhere(fill([(2, 1)], (3, 4))).tolist() == [[1, 2]]
    assert np.count_nonzero(fill([(0, 0), (3, 2)], (3, 4))) == 4
    assert not fill([], (3, 4)).any()


def test_outlines_are_filled_to_the_very_mask():
    """Anything at all: single pixels, holes, parts that touch by their corners."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        mask = rng.random(rng.integers(1, 9, 2)) < rng.choice([0.3, 0.6, 0.9])
        covered = np.zeros_like(mask)
        for part in outlines(mask):
            covered |= fill(part, mask.shape)
        assert (covered == mask).all()


def test_a_hole_cuts_its_polygon_in_two():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    assert len(outlines(ring)) == 2 and outlines(np.zeros((3, 3), bool)) == []
    assert outlines(np.ones((2, 3), bool)) == [[(0, 0), (2, 0), (2, 1), (0, 1)]]
