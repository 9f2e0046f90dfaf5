import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ullava.datasets.structures import Answer, Dialogue, Picture, Promise, Region, Sample, Turn
from ullava.evaluation.engine import box_sources
from ullava.evaluation.engine.box_sources import BOX_SOURCES, open_source

ROOT = Path(__file__).parents[3]

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
    with pytest.raises(
        LookupError,
        match="no box source 'mask2bx'; did you mean 'mask2box'. there are: box, detector, grounding, mask2box",
    ):
        BOX_SOURCES["mask2bx"]


def test_a_crumb_beside_the_mask_does_not_widen_its_box():
    """Ten pixels and one, then two: a tenth of the larger part still counts, less does not."""
    mask = np.zeros((6, 12), np.float32)
    mask[1:3, 1:6], mask[5, 11] = 1, 1  # 10 pixels and 1
    answer = Answer("[SEG]", {"mask": (mask,)})
    assert open_source("mask2box")(QUESTION, answer) == [(1.0, 1.0, 12.0, 6.0)]
    assert open_source({"mask2box": {"least": 0.2}})(QUESTION, answer) == [(1.0, 1.0, 6.0, 3.0)]
    assert open_source({"mask2box": {"least": 0}})(QUESTION, answer) == [(1.0, 1.0, 12.0, 6.0)]


def test_the_frame_may_be_of_the_largest_part_or_of_none():
    mask = np.zeros((6, 12), np.float32)
    mask[1:3, 1:6], mask[3:6, 10:] = 1, 1  # 10 pixels and 6
    answer = Answer("[SEG]", {"mask": (mask,)})
    assert open_source({"mask2box": {"join": "largest"}})(QUESTION, answer) == [(1.0, 1.0, 6.0, 3.0)]
    assert open_source({"mask2box": {"pixels": 11}})(QUESTION, answer) == [None]


def test_detector_takes_what_its_head_says_and_wants_one():
    boxes = ((0.0, 1.0, 2.0, 3.0),)
    assert open_source("detector")(QUESTION, Answer("[LOC]", {"detector": boxes})) == boxes
    with pytest.raises(LookupError, match="the model has no detector head"):
        open_source("detector")(QUESTION, Answer("[LOC]", {"box": boxes}))


class Asked:
    """Stands for a detector that finds two boxes of a ring and nothing else."""

    def __init__(self):
        self.words = []

    def __call__(self, picture, words):
        self.words.append((str(picture.path), words))
        return [(0.0, 0.0, 2.0, 2.0), (4.0, 4.0, 8.0, 8.0)] if words == "ring" else []


@pytest.fixture
def asked(monkeypatch):
    found = Asked()
    monkeypatch.setattr(box_sources, "open_prompter", lambda *options: found)
    monkeypatch.setattr(box_sources, "check_prompter", lambda *options: None)
    return found


def pictured(answer: str) -> Dialogue:
    picture = Picture(Path("ring.png"))
    return Dialogue("toy/0#0", Sample("toy/0", (picture,)), (Turn("where?", answer),), promises(answer))


def promises(answer: str) -> tuple[Promise, ...]:
    return tuple(Promise("[SEG]", Region(), 0) for _ in range(answer.count("[SEG]")))


def test_grounding_takes_the_box_that_fits_the_mask(asked):
    mask = np.zeros((9, 9), np.float32)
    mask[4:8, 4:7] = 1
    source = open_source({"grounding": {"weights": "any"}})
    answer = Answer("Sure. Mask: [SEG]; [tag]ring[/tag].", {"mask": (mask,)})
    assert source(pictured("[SEG]"), answer) == [(4.0, 4.0, 8.0, 8.0)]
    assert asked.words == [("ring.png", "ring")]


def test_grounding_without_a_find_or_a_tag_is_a_miss(asked):
    mask = np.ones((9, 9), np.float32)
    source = open_source({"grounding": {"weights": "any"}})
    for text in ("[SEG] [tag]square[/tag]", "[SEG] without a name"):
        assert source(pictured("[SEG]"), Answer(text, {"mask": (mask,)})) == [None]


def test_grounding_of_an_empty_mask_takes_the_surest_box(asked):
    source = open_source({"grounding": {"weights": "any"}})
    answer = Answer("[SEG] [tag]ring[/tag]", {"mask": (np.zeros((9, 9), np.float32),)})
    assert source(pictured("[SEG]"), answer) == [(0.0, 0.0, 2.0, 2.0)]


def test_each_mask_has_the_tag_behind_it(asked):
    mask = np.ones((9, 9), np.float32)
    source = open_source({"grounding": {"weights": "any"}})
    answer = Answer("[SEG] [tag]square[/tag] [SEG] [tag]ring[/tag]", {"mask": (mask, mask)})
    assert [box is None for box in source(pictured("[SEG] [SEG]"), answer)] == [True, False]


def test_grounding_without_a_detector_says_what_is_missing():
    with pytest.raises(ValueError, match="option 'weights' is missing"):
        open_source("grounding")
    with pytest.raises(FileNotFoundError, match="boxes.grounding.weights: nowhere.*github.com/IDEA-Research"):
        open_source({"grounding": {"weights": "nowhere"}})


def test_one_row_names_one_source():
    with pytest.raises(ValueError, match="expected one source a row, found box, mask2box"):
        open_source({"box": {}, "mask2box": {}})


def test_everything_else_runs_without_any_detector_file():
    """The other sources and a whole stage are opened, and nobody has touched a GroundingDINO or a text encoder."""
    code = (
        "import sys; import ullava.evaluation.evaluator\n"
        "from ullava.evaluation.engine.box_sources import open_source\n"
        "for name in (None, 'box', 'mask2box', 'detector'): open_source(name)\n"
        "import ullava.models.assembly, ullava.training.train\n"
        "assert 'transformers.models.bert.modeling_bert' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
