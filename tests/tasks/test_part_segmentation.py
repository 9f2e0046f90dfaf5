"""Parts of objects: how they are asked for, and what their masks promise."""

from dataclasses import dataclass

import numpy as np
import pytest

import ullava.tasks  # noqa: F401, registers the tasks
from ullava.configs.tokens import LOC, SEG
from ullava.datasets.structures import Picture, Region, Sample
from ullava.tasks.base import TASKS
from ullava.tasks.phrases.part import DEEDS, USUAL, deed


@dataclass(frozen=True)
class Drawn:
    """A mask of given rows."""

    rows: tuple[str, ...]

    @property
    def size(self):
        return len(self.rows), len(self.rows[0])

    def draw(self):
        return np.array([[cell == "#" for cell in row] for row in self.rows])


LEFT, RIGHT = Drawn(("#..", "#..")), Drawn(("..#", "..."))
HANDLE = Region(category="mug_(drinking):handle", mask=LEFT)


def sample(*regions):
    return Sample("toy/1", (Picture("toy.jpg"),), regions)


def make(**options):
    return TASKS.build("part", options)


def test_an_exam_asks_for_the_part_by_its_name():
    (exam,) = make(says=["SEG"]).eval_dialogues(sample(HANDLE))
    (turn,) = exam.turns
    assert turn.question == "Output the segmentation mask of the handle of the mug in the image."
    assert turn.answer == "Sure. Mask: [SEG]; [tag]handle of the mug[/tag]."


def test_an_exam_may_ask_for_what_the_part_is_for():
    (exam,) = make(says=["SEG"], exam="use").eval_dialogues(sample(HANDLE))
    assert exam.turns[0].question == "Which part of the mug would you hold?"


def test_a_promise_names_the_whole_phrase_then_part_and_object():
    (exam,) = make(says=["SEG", "LOC"]).eval_dialogues(sample(HANDLE))
    assert [(promise.token, promise.words) for promise in exam.promises] == [
        (SEG, ("handle of the mug", "handle", "mug")), (LOC, ()),
    ]  # fmt: skip


def test_training_names_parts_both_ways_half_and_half_and_by_use():
    questions = [
        make(operate=0.25).dialogue(sample(HANDLE), np.random.default_rng(seed)).turns[0].question
        for seed in range(400)
    ]
    named = sum("handle of the mug" in question for question in questions)
    turned = sum("mug handle" in question for question in questions)
    used = sum("hold" in question and "handle" not in question for question in questions)
    assert named + turned + used == 400
    # 400 draws: 100 +- 9 by use, the others 150 +- 10 each
    assert 70 < used < 130 and 115 < named < 185 and 115 < turned < 185
    assert not any("<" in question for question in questions)


def test_parts_of_one_name_are_one_mask():
    regions = (HANDLE, Region(category="handle of the mug", mask=RIGHT), Region(category="mug", mask=RIGHT))
    (exam,) = make(says=["SEG"]).eval_dialogues(sample(*regions))
    assert exam.promises[0].region.mask.draw().tolist() == [[True, False, True], [True, False, False]]


def test_a_part_without_mask_is_asked_for_and_promised():
    dialogue = make(says=["SEG"]).dialogue(sample(Region(category="lid of the pot")), np.random.default_rng(0))
    (promise,) = dialogue.promises
    assert promise.token == SEG and promise.region.mask is None and promise.words[1:] == ("lid", "pot")


def test_a_box_is_promised_only_where_there_is_one():
    box = Region(category="lid of the pot", box=(0, 0, 1, 1))
    tokens = [[promise.token for promise in make().dialogue(sample(region), np.random.default_rng(0)).promises]
              for region in (box, Region(category="lid of the pot"))]  # fmt: skip
    assert tokens == [[SEG, LOC], [SEG]]


def test_a_sample_without_parts_is_refused_by_name():
    with pytest.raises(ValueError, match="toy/1: task part asks for parts.*found mug"):
        next(make().eval_dialogues(sample(Region(category="mug", mask=LEFT))))


@pytest.mark.parametrize("options", [{"operate": 1.5}, {"exam": "uses"}])
def test_wrong_options_are_refused(options):
    with pytest.raises((ValueError, LookupError), match="operate|use"):
        make(**options)


def test_every_part_has_a_deed():
    assert deed("handle") == DEEDS["handle"] and deed("proboscis") == USUAL
