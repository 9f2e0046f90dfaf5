"""Questions and answers, and written dialogues."""

import numpy as np
import pytest

from ullava.datasets.structures import Picture, Sample, Turn
from ullava.tasks.vqa import VisualQuestionAnswering

PICTURE = (Picture("a.jpg"),)
CHAT = tuple(Turn(f"q{i}?", f"a{i}") for i in range(6))


def questions(dialogue):
    return [turn.question for turn in dialogue.turns]


def test_a_chat_is_cut_to_consecutive_turns_and_begins_with_any():
    sample = Sample("toy/1", PICTURE, turns=CHAT)
    drawn = [questions(VisualQuestionAnswering(rounds=4).dialogue(sample, np.random.default_rng(s))) for s in range(50)]
    windows = [[f"q{i}?" for i in range(start, min(start + 4, 6))] for start in range(6)]
    assert all(turns in windows for turns in drawn) and all(window in drawn for window in windows)


def test_a_short_chat_ends_with_its_last_turn():
    sample = Sample("toy/1", PICTURE, turns=CHAT[:3])
    drawn = [questions(VisualQuestionAnswering().dialogue(sample, np.random.default_rng(s))) for s in range(20)]
    assert {tuple(turns) for turns in drawn} == {("q0?", "q1?", "q2?"), ("q1?", "q2?"), ("q2?",)}


def test_the_exam_asks_each_question_alone():
    eval_dialogues = list(VisualQuestionAnswering().eval_dialogues(Sample("toy/1", PICTURE, turns=CHAT)))
    assert [exam.id for exam in eval_dialogues] == [f"toy/1#{i}" for i in range(6)]
    assert eval_dialogues[2].turns == (Turn("q2?", "a2", ("a2",)),)


def test_a_turn_alone_keeps_what_was_shown_before_it():
    media = tuple(Picture(f"{name}.jpg") for name in "abc")
    first, last = Turn("<image>Who?", "Kim.", media=(0,)), Turn("And <image> or <image>?", "b", media=(1, 2))
    turns = (first, Turn("Sure?", "Yes."), last)
    eval_dialogues = list(VisualQuestionAnswering(suffix="Say it.").eval_dialogues(Sample("toy/1", media, turns=turns)))
    assert [(turn.question, turn.media) for exam in eval_dialogues for turn in exam.turns] == [
        ("<image>Who? Say it.", (0,)),
        ("<image>\nSure? Say it.", (0,)),
        ("<image>\nAnd <image> or <image>? Say it.", (0, 1, 2)),
    ]
    drawn = VisualQuestionAnswering(rounds=2).dialogue(Sample("toy/1", media, turns=turns), np.random.default_rng(0))
    assert drawn.turns[0].media[:1] == (0,)


def test_of_several_answers_the_most_frequent_is_taught_and_all_are_references():
    answers = ("red", "dark red", "dark red", "red", "blue")  # red and dark red tie: the first one written
    sample = Sample("toy/1", PICTURE, turns=(Turn("What colour?", "blue", answers),))
    (exam,) = VisualQuestionAnswering().eval_dialogues(sample)
    assert exam.turns == (Turn("What colour?", "red", answers),)
    assert VisualQuestionAnswering().dialogue(sample, np.random.default_rng(0)).turns == exam.turns


def test_a_suffix_follows_every_question():
    task = VisualQuestionAnswering(suffix="Answer in a word.")
    assert questions(next(task.eval_dialogues(Sample("toy/1", PICTURE, turns=CHAT)))) == ["q0? Answer in a word."]


def test_text_without_pictures_passes_through():
    assert (
        VisualQuestionAnswering().dialogue(Sample("toy/1", turns=CHAT[:1]), np.random.default_rng(0)).turns[0].answer
        == "a0"
    )


@pytest.mark.parametrize(
    "turns, message",
    [
        ((), "toy/1: task vqa expects written questions, found no turns"),
        ((Turn("", "a dog"),), "toy/1: task vqa expects written questions, found a caption"),
        ((Turn("Where?", "[LOC]"),), r"toy/1: \[LOC\] said 1 times, promised 0"),
    ],
)
def test_what_cannot_be_asked_names_the_sample(turns, message):
    with pytest.raises(ValueError, match=message):
        VisualQuestionAnswering().dialogue(Sample("toy/1", PICTURE, turns=turns), np.random.default_rng(0))


def test_rounds_below_one_are_refused():
    with pytest.raises(ValueError, match="rounds: expected 1 or more, found 0"):
        VisualQuestionAnswering(rounds=0)
