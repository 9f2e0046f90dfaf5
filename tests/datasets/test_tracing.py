"""Outlines of masks: drawn again, they cover the same pixels."""

import numpy as np
import pytest

from ullava.datasets.masks import Polygons
from ullava.datasets.tracing import polygons


def draw(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def drawn(mask: np.ndarray) -> np.ndarray:
    return Polygons(mask.shape, tuple(map(tuple, polygons(mask)))).draw()


def test_a_rectangle_has_four_corners():
    assert polygons(draw("....", ".##.", ".##.")) == [[1, 1, 3, 1, 3, 3, 1, 3]]


def test_an_empty_mask_has_no_outline():
    assert polygons(np.zeros((3, 4), bool)) == []


def test_pixels_that_touch_by_a_corner_are_two_things():
    assert len(polygons(draw("#.", ".#"))) == 2 and len(polygons(draw(".#", "#."))) == 2


@pytest.mark.parametrize(
    "mask",
    [
        draw("###", "#.#", "###"),
        draw("#####", "#.#.#", "#####", "#...#", "#####"),
        draw("#####", "#...#", "#.#.#", "#...#", "#####"),  # a thing in a hole
        draw("##.", "#.#", "###"),
    ],
)
def test_holes_stay_holes(mask):
    assert (drawn(mask) == mask).all()


@pytest.mark.parametrize("seed", range(20))
def test_drawing_is_the_inverse(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 24, 2)) < rng.random()
    assert (drawn(mask) == mask).all()
