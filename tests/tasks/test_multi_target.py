"""LaSagnA's questions: which classes they list, in which order their answers go, and what is promised."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from tests.shared import SHARED
from ullava.configs.tokens import NEG, SEG
from ullava.datasets.masks import Union
from ullava.datasets.structures import Picture, Region, Sample
from ullava.tasks.answers.name_list import glean
from ullava.tasks.base import TASKS
from ullava.tasks.phrases.lasagna import list_questions
from ullava.tasks.phrases.phrasebook import fill

PROMPTS = SHARED / "parity" / "lasagna" / "config.json"


@dataclass(frozen=True)
class Part:
    """A mask that is never drawn here."""

    number: int = 0

    def draw(self):
        raise AssertionError("tasks never draw")


def sample(there=("Wall", "sky"), absent=("dog", "cat", "boat")):
    regions = tuple(Region(category=name, mask=Part(n)) for n, name in enumerate(there))
    return Sample("toy/1", (Picture("toy.jpg", (2, 4)),), regions, absent=tuple(absent))


def make(**options):
    return TASKS.build("multi_target", options)


def dialogues(task, facts, count=40):
    return [task.dialogue(facts, np.random.default_rng(seed)) for seed in range(count)]


def listed(dialogue):
    return dialogue.turns[0].question.rpartition(". ")[2].rpartition("? ")[2].rstrip(".").split(", ")


def test_an_exam_goes_through_all_classes_in_alphabetical_order():
    (exam,) = make().eval_dialogues(sample())
    assert exam.id == "toy/1#0"
    assert exam.turns[0].question == "Segment this image. boat, cat, dog, sky, wall."
    assert exam.turns[0].answer == "boat[NEG]cat[NEG]dog[NEG]sky[SEG]wall[SEG]"
    assert [(promise.token, promise.region.category) for promise in exam.promises] == [(SEG, "sky"), (SEG, "wall")]


def test_a_long_list_is_asked_in_several_questions():
    eval_dialogues = list(make(exam_classes=2, form="listed").eval_dialogues(sample()))
    assert [exam.id for exam in eval_dialogues] == ["toy/1#0", "toy/1#1", "toy/1#2"]
    assert [exam.turns[0].answer for exam in eval_dialogues] == [
        "boat [NEG], cat [NEG]",
        "dog [NEG], sky [SEG]",
        "wall [SEG]",
    ]


def test_lasagnas_marks_stand_around_the_list_for_its_weights():
    (exam,) = make(phrases="lasagna_marked").eval_dialogues(sample())
    assert exam.turns[0].question == "<semantic>Segment this image.<cat_start> boat, cat, dog, sky, wall <cat_end>"


@pytest.mark.shared
@pytest.mark.skipif(not PROMPTS.is_file(), reason=f"{PROMPTS} is not here ($ULLAVA_SHARED)")
def test_lasagnas_own_program_asks_and_answers_in_these_words():
    published = json.loads(PROMPTS.read_text())
    question = fill(list_questions("lasagna_marked").eval_question, "dog, cat, person")
    assert f"<im_end>\n{question} ASSISTANT:" in published["generate_prompt"]
    answer = published["generated_text"].replace("<ins>", SEG).replace("<no_ins>", NEG)
    assert glean(answer).names == ("dog", "cat", "person") and glean(answer).tokens == (SEG, NEG, SEG)


def test_answers_follow_the_question_and_promise_in_that_order():
    orders = set()
    for dialogue in dialogues(make(), sample()):
        read = make().read(dialogue.turns[0].answer)
        assert listed(dialogue) == list(read.names)
        said = [name for name, token in zip(read.names, read.tokens, strict=True) if token == SEG]
        assert [promise.region.category for promise in dialogue.promises] == said
        orders.add(read.names)
    assert len(orders) > 20  # of 120


def test_without_order_following_answers_go_their_own_way():
    drawn = dialogues(make(order="shuffle"), sample())
    pairs = [(listed(dialogue), list(make().read(dialogue.turns[0].answer).names)) for dialogue in drawn]
    assert all(sorted(asked) == sorted(said) for asked, said in pairs)
    assert sum(asked == said for asked, said in pairs) < 5  # one in 120


def test_without_negatives_the_question_still_lists_what_is_not_there():
    for dialogue in dialogues(make(negatives=False), sample()):
        assert set(listed(dialogue)) == {"wall", "sky", "dog", "cat", "boat"}
        assert NEG not in dialogue.turns[0].answer and len(dialogue.promises) == 2


def test_where_nothing_is_there_that_is_said():
    facts = sample(there=())
    assert next(make().eval_dialogues(facts)).turns[0].answer == "boat[NEG]cat[NEG]dog[NEG]"
    assert next(make(negatives=False).eval_dialogues(facts)).turns[0].answer == "Nothing."


def test_a_question_lists_all_that_is_there_and_random_others():
    drawn = [set(listed(dialogue)) for dialogue in dialogues(make(num_classes=4), sample())]
    assert all(len(names) == 4 and names > {"wall", "sky"} for names in drawn)
    assert set.union(*drawn) == {"wall", "sky", "dog", "cat", "boat"}


def test_a_list_may_hold_whichever_classes_are_drawn():
    drawn = dialogues(make(num_classes=2, positives="drawn"), sample())
    assert all(len(listed(dialogue)) == 2 for dialogue in drawn)
    assert {len(dialogue.promises) for dialogue in drawn} == {0, 1, 2}  # of two that are there and three that are not


def test_without_subset_a_question_lists_every_class():
    drawn = dialogues(make(num_classes=2, subset=False), sample())
    assert all(len(listed(dialogue)) == 5 for dialogue in drawn)


def test_more_classes_than_places_leave_room_for_absent_ones():
    """LaSagnA's 80 places: 40 that are there, and 20 that are not (utils/sem_seg_dataset.py)."""
    facts = sample(there=[f"there {n}" for n in range(90)], absent=[f"absent {n}" for n in range(50)])
    for dialogue in dialogues(make(), facts, 5):
        read = make().read(dialogue.turns[0].answer)
        assert (read.tokens.count(SEG), read.tokens.count(NEG)) == (40, 20)


def test_parts_of_one_class_are_one_mask():
    (exam,) = make().eval_dialogues(sample(there=("sky", "Sky", "wall")))
    assert exam.turns[0].answer.count(SEG) == 2
    assert exam.promises[0].region.mask == Union((Part(0), Part(1)))


def test_every_instruction_is_drawn():
    assert len({dialogue.turns[0].question for dialogue in dialogues(make(), sample(("sky",), ()), 300)}) == 18


def test_a_vocabulary_says_which_classes_are_asked_for(tmp_path):
    (tmp_path / "open.txt").write_text("sky\nzebra\n-\n")
    for classes in (["sky", "zebra"], str(tmp_path / "open.txt")):
        (exam,) = make(classes=classes).eval_dialogues(sample())
        assert exam.turns[0].answer == "sky[SEG]zebra[NEG]"
    assert list(make(classes="camvid.txt").names(sample()))  # one of the vocabularies that are shipped
    with pytest.raises(FileNotFoundError, match="classes: none.txt: no such file"):
        make(classes="none.txt")


def test_names_are_matched_by_their_spelling_if_wanted():
    assert make().glean("walls[SEG]Sky[SEG]", sample()).names == ("walls", "sky")
    assert make(spelling=0.8).glean("walls[SEG]sky[SEG]", sample()).names == ("wall", "sky")


@pytest.mark.parametrize(
    ("region", "found"),
    [(Region(("a dog",), None, None, Part()), "the class"), (Region(category="dog", box=(0, 0, 1, 1)), "the mask")],
)
def test_regions_without_class_or_mask_are_refused(region, found):
    with pytest.raises(ValueError, match=f"toy/2: task multi_target needs .*{found}"):
        make().dialogue(Sample("toy/2", (Picture("toy.jpg"),), (region,)), np.random.default_rng(0))


def test_a_sample_without_classes_is_refused_in_training_and_asks_nothing_in_an_exam():
    empty = Sample("toy/3", (Picture("toy.jpg"),))
    with pytest.raises(ValueError, match="toy/3: task multi_target asks by class names"):
        make().dialogue(empty, np.random.default_rng(0))
    assert list(make().eval_dialogues(empty)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "joint"}, "did you mean 'joined'"), ({"phrases": "lasagne"}, "did you mean 'lasagna'"),
        ({"order": "sorted"}, "order"), ({"num_classes": 0}, "num_classes"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(options, message):
    with pytest.raises((ValueError, LookupError), match=message):
        make(**options)
