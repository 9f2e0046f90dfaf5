"""Reasoning segmentation: LISA's questions, its answers, and its three choices of what to explain."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest

import ullava.tasks  # noqa: F401, registers the tasks
from ullava.configs.tokens import LOC, SEG
from ullava.datasets.structures import Picture, Region, Sample
from ullava.tasks.base import TASKS, Reading
from ullava.tasks.phrases.lisa import ANSWERS
from ullava.tasks.phrases.phrasebook import PHRASEBOOKS


@dataclass(frozen=True)
class Everywhere:
    """A mask that is never drawn here."""

    def draw(self):
        raise AssertionError("tasks never draw")


MASK = Everywhere()
LONG = Region(("Where can one sit?", "What is to sit on?"), mask=MASK, sentences=True)
SHORT = Region(("the Lens for close Things",), mask=MASK)
TOLD = replace(LONG, reason="The Chair is for sitting.", keyword="chair")


def sample(region):
    return Sample("toy/1", (Picture("toy.jpg"),), (region,))


def make(**options):
    return TASKS.build("reasoning", options)


def dialogues(task, region, count=400):
    return [task.dialogue(sample(region), np.random.default_rng(seed)) for seed in range(count)]


def test_exams_ask_as_lisa_validates():
    """dvlab-research/LISA, utils/dataset.py, ValDataset: the first text alone, its one template, "[SEG]."."""
    (long,) = make().eval_dialogues(sample(LONG))
    (short,) = make().eval_dialogues(sample(SHORT))
    assert long.turns[0].question == "Where can one sit? Please output segmentation mask."
    assert short.turns[0].question == (
        "What is the lens for close things in this image? Please output segmentation mask."
    )
    assert long.turns[0].answer == short.turns[0].answer == "[SEG]."
    assert [promise.token for promise in long.promises] == [SEG] and long.promises[0].region is LONG


def test_exams_may_ask_for_the_explanation():
    (exam,) = make(explain=True).eval_dialogues(sample(TOLD))
    assert exam.turns[0].question == "Where can one sit? Please output segmentation mask and explain why."
    assert exam.turns[0].answer == "[SEG]. The Chair is for sitting."
    assert exam.turns[0].references == ("chair",)  # what the metric looks for
    assert make(explain=True).metrics == ("mask_iou", "naming") and make().metrics == ("mask_iou",)


def test_training_draws_texts_questions_and_answers():
    drawn = [dialogue.turns for dialogue in dialogues(make(), LONG)]
    assert all(len(turns) == 1 for turns in drawn)
    assert {turns[0].answer for turns in drawn} == set(ANSWERS)
    assert {turns[0].question for turns in drawn} == {
        f"{text} Please {verb} segmentation mask." for text in LONG.phrases for verb in ("output", "respond with")
    }


def test_explanations_come_in_lisas_three_choices():
    """The explanation alone 1 in 10, then half and half: of 400 about 40, 180 and 180."""
    kinds = Counter()
    for dialogue in dialogues(make(), TOLD):
        ((question, answer),) = [(turn.question, turn.answer) for turn in dialogue.turns]
        told, masked = "The Chair is for sitting." in answer, SEG in answer
        kinds[told, masked] += 1
        assert ("explain" in question or "explanation" in question) == (told and masked)
        assert told and not masked and question in TOLD.phrases or masked
        assert len(dialogue.promises) == masked
    assert 20 < kinds[True, False] < 60 and 150 < kinds[True, True] < 210 and 150 < kinds[False, True] < 210
    assert set(kinds) == {(True, False), (True, True), (False, True)}


def test_how_many_masks_are_explained_is_an_option():
    """Of 400 answers 40 are the explanation alone; of the others 9 in 10 are explained."""
    kinds = Counter(
        (SEG in turn.answer, TOLD.reason in turn.answer)
        for dialogue in dialogues(make(explained=0.9), TOLD) for turn in dialogue.turns
    )  # fmt: skip
    assert 295 < kinds[True, True] < 350 and 15 < kinds[True, False] < 60 and 20 < kinds[False, True] < 60
    with pytest.raises(ValueError, match="explained: expected a share from 0 to 1, found 90"):
        make(explained=90)


def test_what_nobody_explains_is_not_asked_why():
    assert all("expla" not in dialogue.turns[0].question for dialogue in dialogues(make(explanatory=0.9), LONG, 60))
    assert all("expla" not in d.turns[0].question for d in dialogues(make(explanatory=None), TOLD, 60))


@pytest.mark.parametrize("region", [LONG, SHORT, TOLD])
def test_answers_are_read_back(region):
    task = make(explanatory=0.5)
    for dialogue in dialogues(task, region, 40):
        (turn,) = dialogue.turns
        reading = task.read(turn.answer)
        reason = (region.reason or "") if "expla" in turn.question or SEG not in turn.answer else ""
        assert reading == Reading(reason, tuple(promise.token for promise in dialogue.promises))
    assert task.read("It is[SEG] .") == Reading("", (SEG,))
    assert task.read("[SEG] and [SEG].") is None and task.read("") is None


def test_other_books_and_tokens_ask_for_reasons_too():
    (exam,) = make(phrases="ullava", says=["SEG", "LOC"], explain=True).eval_dialogues(sample(TOLD))
    assert exam.turns[0].answer == (
        "Sure. Mask: [SEG]; Location: [LOC]; [tag]chair[/tag]. Explanation: The Chair is for sitting."
    )
    assert [promise.token for promise in exam.promises] == [SEG, LOC]
    (exam,) = make(form="named", says=["SEG"]).eval_dialogues(sample(TOLD))  # thought of before it is pointed at
    assert exam.turns[0].answer == "Sure. chair [SEG]."
    with pytest.raises(LookupError, match="says: reasoning has no token 'LOC'"):
        make(says=["LOC"])  # LISA's sentences have no place for it


def test_lisas_book_serves_phrases_and_classes():
    for name in ("res", "semantic"):
        task = TASKS.build(name, {"phrases": "lisa"})
        (exam,) = task.eval_dialogues(sample(replace(SHORT, category="lens", phrases=("lens",))))
        assert exam.turns[0].question == "What is lens in this image? Please output segmentation mask."
        assert exam.turns[0].answer == "[SEG]." and task.read(exam.turns[0].answer).tokens == (SEG,)
        assert LOC not in task.owners
    assert len(PHRASEBOOKS["lisa"].segment.drawn) == 4  # the exam is one of them


def test_faults_say_what_is_expected():
    with pytest.raises(ValueError, match="toy/1: task reasoning asks by texts, 1 regions have none"):
        next(make().eval_dialogues(sample(Region(mask=MASK))))
    with pytest.raises(ValueError, match="explanatory: expected a share from 0 to 1, or null, found 2"):
        make(explanatory=2)
    with pytest.raises(ValueError, match=r"toy/1#0: expected plain words, found '\[SEG\]'"):
        next(make(explain=True).eval_dialogues(sample(replace(TOLD, reason="[SEG] is it"))))
    with pytest.raises(ValueError, match="expected a mask"):
        next(make().eval_dialogues(sample(replace(LONG, mask=None))))
