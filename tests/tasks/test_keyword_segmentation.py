"""The keyword task: what is asked, how the keyword is said, and what stands where there is none."""

from dataclasses import dataclass

import numpy as np
import pytest

import ullava.tasks  # noqa: F401, registers the tasks
from ullava.configs.tokens import KEY, SEG
from ullava.datasets.structures import Picture, Region, Sample
from ullava.tasks.base import TASKS, Reading


@dataclass(frozen=True)
class Everywhere:
    """A mask that is never drawn here."""

    def draw(self):
        raise AssertionError("tasks never draw")


RING = Region(("the red ring", "ring on the left"), "ring", mask=Everywhere(), keyword="Red ring")
CUP = Region(("Where could one drink from?",), None, mask=Everywhere(), sentences=True)
SAMPLE = Sample("toy/1", (Picture("toy.jpg"),), (RING, CUP))
FORMS = ("keyword_first", "mask_first")


def make(**options):
    return TASKS.build("keyword", options)


def test_exams_say_the_keyword_before_the_mask_and_leave_out_what_nobody_knows():
    eval_dialogues = list(make().eval_dialogues(SAMPLE))
    assert [exam.turns[0].answer for exam in eval_dialogues] == ["[KEY] red ring [SEG]."] * 2 + ["[SEG]."]
    assert [exam.turns[0].question for exam in eval_dialogues] == [
        "What is the red ring in this image? Please output segmentation mask.",
        "What is ring on the left in this image? Please output segmentation mask.",
        "Where could one drink from? Please output segmentation mask.",
    ]


def test_exams_may_ask_by_each_regions_first_text_alone():
    assert [exam.id for exam in make(texts="first").eval_dialogues(SAMPLE)] == ["toy/1#0", "toy/1#2"]


def test_published_the_keyword_comes_behind_the_mask():
    eval_dialogues = list(make(form="mask_first").eval_dialogues(SAMPLE))
    assert [exam.turns[0].answer for exam in eval_dialogues] == ["[SEG]. [KEY] red ring"] * 2 + ["[SEG]."]


@pytest.mark.parametrize(("form", "order"), [("keyword_first", [KEY, SEG]), ("mask_first", [SEG, KEY])])
def test_the_token_promises_the_word_and_the_region(form, order):
    exam = next(make(form=form).eval_dialogues(SAMPLE))
    assert [promise.token for promise in exam.promises] == order
    assert {promise.region for promise in exam.promises} == {RING}
    assert {promise.token: promise.words for promise in exam.promises} == {KEY: ("red ring",), SEG: ()}


def test_training_says_the_mask_in_lisas_ways():
    task, rng = make(form="mask_first"), np.random.default_rng(0)
    said = {turn.answer for _ in range(60) for turn in task.dialogue(SAMPLE, rng).turns}
    assert {"It is [SEG]. [KEY] red ring", "Sure, it is [SEG]. [KEY] red ring", "Sure, [SEG]."} <= said


def test_a_phrase_may_be_its_own_keyword_where_there_is_no_other():
    plain = Sample("toy/2", SAMPLE.media, (Region(("The Left dog",), mask=Everywhere()), RING))
    eval_dialogues = list(make(keywords="phrase").eval_dialogues(plain))
    assert [exam.turns[0].answer for exam in eval_dialogues] == ["[KEY] the left dog [SEG]."] + [
        "[KEY] red ring [SEG]."
    ] * 2
    assert eval_dialogues[0].promises[0].words == ("the left dog",)


@pytest.mark.parametrize("form", FORMS)
def test_every_answer_is_read_back(form):
    task, rng = make(form=form), np.random.default_rng(0)
    for _ in range(20):
        dialogue = task.dialogue(SAMPLE, rng)
        for number, turn in enumerate(dialogue.turns):
            tokens = tuple(promise.token for promise in dialogue.promises if promise.turn == number)
            assert task.read(turn.answer) == Reading("red ring" if KEY in tokens else "", tokens)


def test_spaces_of_a_tokenizer_change_nothing():
    assert make().read(" [KEY]red ring[SEG] . ") == Reading("red ring", (KEY, SEG))
    assert make(form="mask_first").read("Sure, it is[SEG] .[KEY]  red ring") == Reading("red ring", (SEG, KEY))


@pytest.mark.parametrize("answer", ["", "ring [SEG].", "[KEY] [SEG].", "[KEY] red [KEY] ring [SEG].", "[KEY] ring."])
def test_other_answers_are_not_read(answer):
    assert make().read(answer) is None


def test_a_mask_alone_may_be_said():
    task = make(says=["SEG"])
    assert next(task.eval_dialogues(SAMPLE)).turns[0].answer == "[SEG]."
    assert task.metrics == ("mask_iou",) and task.heads == ("mask",)
    assert make().metrics == ("mask_iou", "keyword_acc") and make().heads == ("mask",)


def test_what_cannot_be_asked_is_said():
    with pytest.raises(ValueError, match="toy/3: task keyword asks by phrases, found none on 1 regions"):
        list(make().eval_dialogues(Sample("toy/3", SAMPLE.media, (Region(mask=Everywhere()),))))
    with pytest.raises(ValueError, match="form: 'lisa' has no place for a keyword"):
        make(form="lisa")
    with pytest.raises(ValueError, match=r"expected plain words, found '\[SEG\]'"):
        list(
            make().eval_dialogues(
                Sample("toy/4", SAMPLE.media, (Region(("ring",), mask=Everywhere(), keyword="[SEG]"),))
            )
        )
