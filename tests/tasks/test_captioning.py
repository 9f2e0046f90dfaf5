"""Captions of pictures and videos."""

import numpy as np
import pytest

from ullava.datasets.structures import Picture, Sample, Turn, Video
from ullava.tasks.base import Reading
from ullava.tasks.captioning import Captioning, VideoCaptioning
from ullava.tasks.phrases import phrasebook as phrases

PICTURE, VIDEO = (Picture("a.jpg"),), (Video("a.mp4"),)
FIVE = (Turn("", "a dog", ("a dog", "the dog")), Turn("", "one dog"))


def test_training_draws_a_question_and_a_caption():
    sample = Sample("toy/1", PICTURE, turns=FIVE)
    drawn = [Captioning().dialogue(sample, np.random.default_rng(seed)).turns for seed in range(100)]
    assert {turn.question for (turn,) in drawn} == set(phrases.DESCRIBE_PICTURE.drawn)
    assert {turn.answer for (turn,) in drawn} == {"a dog", "the dog", "one dog"}


def test_the_exam_has_one_question_and_all_captions():
    (exam,) = Captioning().eval_dialogues(Sample("toy/1", PICTURE, turns=FIVE))
    assert exam.id == "toy/1#0"
    assert exam.turns == (Turn(phrases.DESCRIBE_PICTURE.eval_question, "a dog", ("a dog", "the dog", "one dog")),)


def test_a_written_question_is_kept():
    sample = Sample("toy/1", PICTURE, turns=(Turn("Describe the image concisely.", "a cat"),))
    (turn,) = Captioning().dialogue(sample, np.random.default_rng(0)).turns
    assert turn.question == "Describe the image concisely." and turn.answer == "a cat"


def test_videos_are_asked_about_as_videos():
    (exam,) = VideoCaptioning().eval_dialogues(Sample("toy/1", VIDEO, turns=FIVE))
    assert exam.turns[0].question == phrases.DESCRIBE_VIDEO.eval_question
    assert VideoCaptioning.name == "video_captioning" and Captioning.name == "captioning"
    assert VideoCaptioning().metrics == ("captions",) and VideoCaptioning().heads == ()


@pytest.mark.parametrize(
    "task, sample, message",
    [
        (Captioning(), Sample("toy/1", VIDEO, turns=FIVE), "task captioning expects a picture, found video"),
        (VideoCaptioning(), Sample("toy/1", PICTURE, turns=FIVE), "video_captioning expects a video, found picture"),
        (Captioning(), Sample("toy/1", (), turns=FIVE), "expects a picture, found text only"),
        (Captioning(), Sample("toy/1", PICTURE), "expects captions of one question, found 0 questions"),
        (
            Captioning(),
            Sample("toy/1", PICTURE, turns=(Turn("a?", "b"), Turn("c?", "d"))),
            "found 2 questions; a dialogue",
        ),
        (Captioning(), Sample("toy/1", PICTURE, turns=(Turn("", " "),)), "expects a caption, found an empty one"),
        (Captioning(), Sample("toy/1", PICTURE, turns=(Turn("", "a [SEG]"),)), r"\[SEG\] said 1 times, promised 0"),
    ],
)
def test_what_cannot_be_captioned_names_the_sample(task, sample, message):
    with pytest.raises(ValueError, match=f"toy/1.*{message}"):
        task.dialogue(sample, np.random.default_rng(0))


def test_an_answer_is_read_as_its_words():
    assert Captioning().read(" a dog ") == Reading("a dog") and Captioning().read("") is None


def test_a_written_question_keeps_its_pictures():
    media = (Picture("a.jpg"), Picture("b.jpg"))
    sample = Sample("toy/1", media, turns=(Turn("Compare <image> with <image>", "alike", media=(0, 1)),))
    (exam,) = Captioning().eval_dialogues(sample)
    drawn = Captioning().dialogue(sample, np.random.default_rng(0))
    assert exam.turns[0].media == drawn.turns[0].media == (0, 1)
