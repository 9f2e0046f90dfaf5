"""Boxes: every way of writing one and its way back; expected numbers by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullava.datasets import boxes

SIDES = st.integers(1, 2000)
SIZES = st.tuples(SIDES, SIDES)
NUMBERS = st.floats(-1e4, 1e4, allow_nan=False)
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)


@given(BOXES)
@pytest.mark.parametrize("name", ["xywh", "inclusive", "one"])
def test_what_needs_no_size_comes_back(name, box):
    there, back = getattr(boxes, f"to_{name}"), getattr(boxes, f"from_{name}")
    np.testing.assert_allclose(back(there(box)), box, atol=1e-9)


@given(BOXES, SIZES)
@pytest.mark.parametrize("name", ["normalised", "thousandths", "padded_square"])
def test_what_needs_a_size_comes_back(name, box, size):
    there, back = getattr(boxes, f"to_{name}"), getattr(boxes, f"from_{name}")
    np.testing.assert_allclose(back(there(box, size), size), box, atol=1e-6)


@given(BOXES, SIZES)
@pytest.mark.parametrize("form", boxes.FORMS)
def test_every_form_of_a_box_is_read_as_it_is_written(form, box, size):
    if form == "xyxy":
        return
    name = "one" if form == "from_one" else form
    written = getattr(boxes, f"to_{name}")(*((box, size) if form in boxes.SIZED else (box,)))
    np.testing.assert_allclose(boxes.FORMS[form](written, size), box, atol=1e-6)


@given(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40)))
def test_every_form_of_one_rectangle_covers_the_same_pixels(rectangle):
    """x, y, width, height in a picture of 100 x 120: its pixels, in every convention there is."""
    x, y, width, height = rectangle
    size, inside = (100, 120), (x, y, x + width, y + height)
    written = {
        "xyxy": inside,
        "xywh": rectangle,
        "inclusive": (x, y, x + width - 1, y + height - 1),
        "from_one": (x + 1, y + 1, x + width, y + height),
        "normalised": (x / 120, y / 100, (x + width) / 120, (y + height) / 100),
        "thousandths": (x / 0.12, y / 0.1, (x + width) / 0.12, (y + height) / 0.1),
        "padded_square": (x / 120, (y + 10) / 120, (x + width) / 120, (y + height + 10) / 120),
    }
    assert written.keys() == boxes.FORMS.keys()
    for form, box in written.items():
        np.testing.assert_allclose(boxes.FORMS[form](box, size), inside, atol=1e-9)


def test_written_by_hand():
    assert boxes.from_xywh((3, 2, 5, 3)) == (3, 2, 8, 5)
    assert boxes.from_inclusive((3, 2, 7, 4)) == (3, 2, 8, 5)
    assert boxes.to_normalised((1, 2, 3, 4), (4, 8)) == (0.125, 0.5, 0.375, 1)
    assert boxes.from_thousandths((500, 250, 1000, 500), (40, 80)) == (40, 10, 80, 20)
    # 4 x 8 lies in the middle of 8 x 8: two rows above it.
    assert boxes.to_padded_square((0, 0, 8, 4), (4, 8)) == (0, 0.25, 1, 0.75)
    # 8 x 5 leaves three columns: one to the left, two to the right, as whole pixels.
    assert boxes.to_padded_square((0, 0, 5, 8), (8, 5)) == (0.125, 0, 0.75, 1)


def test_a_box_is_cut_to_its_picture():
    assert boxes.clip((-3, 1, 99, 5), (4, 8)) == (0, 1, 8, 4)


def test_the_box_of_a_mask_ends_outside(drawn):
    assert boxes.box_of(drawn("...... .##... .##... ......")) == (1, 1, 3, 3)
    assert boxes.box_of(drawn("...... ......")) is None
    assert boxes.box_of(drawn("#")) == (0, 0, 1, 1)


def test_intersection_over_union():
    # 2 x 2 shared of 3 x 3 + 3 x 3 - 4.
    assert boxes.iou((0, 0, 3, 3), (1, 1, 4, 4)) == pytest.approx(4 / 14, abs=1e-15)
    assert boxes.iou((0, 0, 3, 3), (3, 0, 6, 3)) == 0
    assert boxes.iou((0, 0, 3, 3), (0, 0, 3, 3)) == 1
    assert boxes.iou((1, 1, 1, 1), (1, 1, 1, 1)) == 0
    assert boxes.iou((5, 5, 2, 2), (0, 0, 9, 9)) == 0, "an inverted box covers nothing"


def test_intersection_over_union_is_computed_in_double_precision():
    box = np.array([0.1, 0.1, 1000.1, 1000.1], np.float32)
    assert isinstance(boxes.iou(box, box), float)
    assert boxes.iou(box, box) == 1
