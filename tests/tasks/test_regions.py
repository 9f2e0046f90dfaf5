"""RES, REC, salient and semantic segmentation: what is asked, and what the answers promise."""

from dataclasses import dataclass

import numpy as np
import pytest

import ullava.tasks  # noqa: F401, registers the tasks
from ullava.configs.tokens import LOC, SEG
from ullava.datasets.structures import Picture, Region, Sample
from ullava.tasks.base import TASKS, Reading


@dataclass(frozen=True)
class Everywhere:
    """A mask that is never drawn here."""

    def draw(self):
        raise AssertionError("tasks never draw")


MASK = Everywhere()
DOG = Region(("left dog", "dog that runs"), "Dog", (0, 0, 2, 2), MASK)
CAT = Region(("cat",), None, None, MASK)
SAMPLE = Sample("toy/1", (Picture("toy.jpg"),), (DOG, CAT))


def sample(*regions):
    return Sample("toy/2", (Picture("toy.jpg"),), regions)


def rng(seed=0):
    return np.random.default_rng(seed)


def make(name, **options):
    return TASKS.build(name, options)


def test_res_examines_every_phrase_alone_in_file_order():
    eval_dialogues = list(make("res").eval_dialogues(SAMPLE))
    assert [exam.id for exam in eval_dialogues] == ["toy/1#0", "toy/1#1", "toy/1#2"]
    assert [turn.question for exam in eval_dialogues for turn in exam.turns] == [
        f"Output the segmentation mask of the {phrase} in the image." for phrase in ("left dog", "dog that runs", "cat")
    ]
    assert eval_dialogues[0].turns[0].answer == "Sure. Mask: [SEG]; Location: [LOC]; [tag]dog[/tag]."
    assert (
        eval_dialogues[2].turns[0].answer == "Sure. Mask: [SEG]; Location: [LOC]; [tag]cat[/tag]."
    )  # the phrase, nothing else


def test_exams_are_the_same_every_time():
    for name in ("res", "rec"):
        assert list(make(name).eval_dialogues(SAMPLE)) == list(make(name).eval_dialogues(SAMPLE))


def test_every_token_said_promises_its_region():
    dialogue = make("res").dialogue(SAMPLE, rng())
    assert len(dialogue.turns) == 3
    assert [(promise.token, promise.turn) for promise in dialogue.promises] == [
        (token, turn) for turn in range(3) for token in (SEG, LOC)
    ]
    for promise in dialogue.promises:
        assert any(phrase in dialogue.turns[promise.turn].question for phrase in promise.region.phrases)


def test_rounds_bound_the_turns_of_training():
    asked = [make("res", rounds=1).dialogue(SAMPLE, rng(seed)).turns for seed in range(40)]
    assert {len(turns) for turns in asked} == {1}
    assert {promise for turns in asked for promise in ("left", "cat") if promise in turns[0].question} == {
        "left",
        "cat",
    }


def test_the_first_release_says_the_mask_only():
    task = make("res", phrases="ullava_v1")
    (exam, *_) = task.eval_dialogues(SAMPLE)
    assert exam.turns[0].answer == "Sure. Info: [SEG]; [tag]dog[/tag]."
    assert task.heads == ("mask",) and task.metrics == ("mask_iou",)
    assert all(
        "box" not in turn.question and "locate" not in turn.question for turn in task.dialogue(SAMPLE, rng()).turns
    )


def test_says_chooses_the_tokens_the_heads_and_the_metrics():
    both, boxes = make("res"), make("res", says=["LOC"])
    assert both.heads == ("mask", "box") and both.metrics == ("mask_iou", "box_accuracy")
    assert boxes.heads == ("box",) and boxes.metrics == ("box_accuracy",)
    assert next(boxes.eval_dialogues(SAMPLE)).turns[0].answer == "Sure. Location: [LOC]; [tag]dog[/tag]."


def test_a_region_promises_only_what_it_can_keep():
    boxed = Region(("cup",), "cup", (0, 0, 1, 1))
    (exam,) = make("res").eval_dialogues(sample(boxed))
    assert exam.turns[0].answer == "Sure. Location: [LOC]; [tag]cup[/tag]."
    with pytest.raises(ValueError, match=r"toy/2#0: 'cup': expected a mask or box for \[SEG\], found none"):
        list(make("res", says=["SEG"]).eval_dialogues(sample(boxed)))


def test_a_mask_alone_promises_a_box():
    (exam,) = make("rec").eval_dialogues(sample(CAT))
    assert [promise.token for promise in exam.promises] == [LOC] and exam.promises[0].region is CAT


def test_rec_asks_for_the_box_only():
    task = make("rec")
    exam = next(task.eval_dialogues(SAMPLE))
    assert exam.turns[0].question == "Locate the left dog in the image."
    assert exam.turns[0].answer == "Sure. Location: [LOC]; [tag]dog[/tag]."
    assert task.heads == ("box",) and task.metrics == ("box_accuracy",)
    with pytest.raises(LookupError, match="says: rec has no token 'SEG'; .*there are: LOC"):
        make("rec", says=["SEG"])


def test_salient_explains_where_there_is_a_reason():
    task = make("salient")
    (exam,) = task.eval_dialogues(sample(Region((), "Dog", None, MASK, reason="It is Red.")))
    assert exam.turns[0].question == "Find the salient object in the image."
    assert exam.turns[0].answer == "Sure. Mask: [SEG]; Location: [LOC]; [tag]dog[/tag]. Explanation: it is red."
    assert task.read(exam.turns[0].answer) == Reading("it is red.", (SEG, LOC), ("dog",))
    assert task.metrics == ("mask_iou", "saliency")


def test_salient_asks_for_no_reason_where_there_is_none():
    for seed in range(20):
        (turn,) = make("salient").dialogue(sample(Region(mask=MASK)), rng(seed)).turns
        assert not {"why", "reason", "explain"} & set(turn.question.lower().strip(".?").split())
        assert turn.answer == "Sure. Mask: [SEG]; Location: [LOC]."


def test_only_salient_explains():
    (exam,) = make("res").eval_dialogues(sample(Region(("dog",), None, None, MASK, reason="it is red")))
    assert "Explanation" not in exam.turns[0].answer


def test_semantic_examines_each_class_present():
    wall, sky = Region((), "wall", None, MASK), Region((), "Sky", None, MASK)
    task = make("semantic")
    eval_dialogues = list(task.eval_dialogues(sample(wall, sky)))
    assert eval_dialogues[1].turns[0].question == "Output the segmentation mask of the Sky in the image."
    assert eval_dialogues[1].turns[0].answer == "Sure. Mask: [SEG]; Location: [LOC]; [tag]sky[/tag]."
    assert [promise.region for promise in eval_dialogues[0].promises] == [wall, wall]
    assert task.metrics == ("mean_iou",)
    assert len(task.dialogue(sample(*[wall] * 5), rng()).turns) == 3


@pytest.mark.parametrize(
    "name, regions, message",
    [
        ("res", [Region((), "dog", None, MASK)], "toy/2: task res asks by phrases, found none on 1 regions"),
        ("rec", [], "toy/2: task rec asks by phrases, found none on 0 regions"),
        ("salient", [DOG, CAT], "toy/2: task salient expects one region, found 2"),
        ("semantic", [DOG, CAT], "toy/2: task semantic asks by class names, found ['Dog', None]"),
        ("semantic", [], "toy/2: task semantic asks by class names, found no regions"),
        ("res", [Region(("dog [SEG]",), None, None, MASK)], "toy/2: expected plain words, found '[SEG]'"),
        ("res", [Region(("dog",), "x[/tag]", None, MASK)], "toy/2: expected plain words, found '[/tag]'"),
        ("res", [Region(("dog",))], "toy/2: 'dog': expected a mask or box for [SEG] and [LOC], found none"),
    ],
)
def test_what_cannot_be_asked_names_the_sample(name, regions, message):
    with pytest.raises(ValueError) as caught:
        make(name).dialogue(sample(*regions), rng())
    assert message in str(caught.value)


def test_a_token_in_a_question_is_the_users_own_text():
    (exam,) = make("res").eval_dialogues(sample(Region(("the sign saying [SEG]",), "sign", None, MASK)))
    assert "[SEG]" in exam.turns[0].question and len(exam.promises) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"round": 1}, "no option 'round'; did you mean 'rounds'"),
        ({"rounds": "many"}, "rounds: input should be a valid integer"),
        ({"rounds": 0}, "rounds: expected 1 or more, found 0"),
        ({"says": "SEG"}, "says: input should be a valid tuple"),
        ({"says": ["BOX"]}, "says: res has no token 'BOX'"),
        ({"says": ["SEG", "SEG"]}, "says: expected each token once, found SEG, SEG"),
        ({"phrases": "ulava"}, "phrases: no phrasebook 'ulava'"),
    ],
)
def test_a_bad_option_is_named(options, message):
    with pytest.raises((ValueError, LookupError)) as caught:
        make("res", **options)
    assert message in str(caught.value)


NOTHING = Sample("toy/3", (Picture("toy.jpg", (4, 6)),), (CAT,), absent=("two dogs",))


def test_what_is_absent_is_answered_by_neg_which_promises_nothing():
    cat, dogs = make("res").eval_dialogues(NOTHING)
    assert dogs.turns[0].question == "Output the segmentation mask of the two dogs in the image."
    assert (dogs.turns[0].answer, dogs.promises) == ("Sure. Mask: [NEG].", ())
    assert "[SEG]" in cat.turns[0].answer and len(cat.promises) == 2
    said = make("res").dialogue(NOTHING, rng())
    assert sorted("[NEG]" in turn.answer for turn in said.turns) == [False, True]
    (turn,) = {promise.turn for promise in said.promises}
    assert "cat" in said.turns[turn].question
    assert make("res").read("Sure. Mask: [NEG] .") == Reading("", ("[NEG]",), ())
    assert make("res").read("Sure. Mask: [NEG]; Mask: [SEG].") is None


def test_what_is_absent_may_be_an_empty_mask_as_lisa_trains():
    _, dogs = make("res", no_target="empty_mask").eval_dialogues(NOTHING)
    assert dogs.turns[0].answer == "Sure. Mask: [SEG]."  # no box goes around nothing
    (promise,) = dogs.promises
    assert promise.region.mask.draw().shape == (4, 6) and not promise.region.mask.draw().any()
    _, dogs = make("res", phrases="lisa").eval_dialogues(NOTHING)
    assert "[NEG]" in dogs.turns[0].answer and "[SEG]" not in dogs.turns[0].answer
    with pytest.raises(ValueError, match="no_target"):
        make("res", no_target="ignore")


def test_boxes_are_asked_of_what_is_there_only():
    assert [exam.turns[0].question for exam in make("rec").eval_dialogues(NOTHING)] == [
        exam.turns[0].question for exam in make("rec").eval_dialogues(sample(CAT))
    ]
    with pytest.raises(ValueError, match="asks by phrases, found none"):
        list(make("rec").eval_dialogues(Sample("toy/4", (Picture("toy.jpg", (4, 6)),), absent=("a cow",))))
