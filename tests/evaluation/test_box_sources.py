import numpy as np
import pytest

from ullava.datasets.structures import Answer, Dialogue, Sample, Turn
from ullava.evaluation.box_sources import BOX_SOURCES

QUESTION = Dialogue("toy/0#0", Sample("toy/0"), (Turn("where?", ""),))


def test_box_takes_what_the_head_says():
    boxes = ((0.0, 1.0, 2.0, 3.0), (4.0, 5.0, 6.0, 7.0))
    assert BOX_SOURCES["box"]()(QUESTION, Answer("[LOC] [LOC]", {"box": boxes})) == boxes
    assert BOX_SOURCES["box"]()(QUESTION, Answer("no")) == ()


def test_mask2box_frames_each_mask_and_nothing_of_an_empty_one():
    mask = np.zeros((4, 5), np.float32)
    mask[1:3, 2:4] = 0.6
    mask[0, 0] = 0.5  # not above the threshold
    answer = Answer("[SEG] [SEG]", {"mask": (mask, np.zeros((4, 5), np.float32))})
    assert BOX_SOURCES["mask2box"]()(QUESTION, answer) == [(2.0, 1.0, 4.0, 3.0), None]


def test_an_unknown_source_lists_those_there_are():
    with pytest.raises(LookupError, match="no box source 'mask2bx'; did you mean 'mask2box'. there are: box, detector, grounding, mask2box"):
        BOX_SOURCES["mask2bx"]
