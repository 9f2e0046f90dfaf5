"""What a sample says of its media: marks in questions, and what they stand for."""

from pathlib import Path

import pytest

from ullava.datasets.structures import Picture, Sample, Turn, Video

MEDIA = (Picture(Path("a.jpg")), Picture(Path("b.jpg")), Video(Path("c.mp4")))


def sample(*turns: Turn) -> Sample:
    return Sample("toy/1", MEDIA, turns=turns)


def test_each_mark_stands_for_one_medium():
    first, second = Turn("<image> or <image>?", "The first.", media=(0, 1)), Turn("And <video>?", "No.", media=(2,))
    assert sample(first, second).turns[1].media == (2,)
    assert sample(second).turns[0].media == (2,), "a turn keeps its media when others are left out"


def test_without_media_a_mark_is_plain_text():
    assert sample(Turn("What does <image> mean in HTML?", "Nothing.")).turns[0].media == ()


@pytest.mark.parametrize(
    ("question", "media", "message"),
    [
        ("<image>?", (0, 1), r"the question holds <image>, its media \(0, 1\) are <image> <image>"),
        ("<video>?", (0,), r"holds <video>, its media \(0,\) are <image>"),
        ("What?", (0,), "holds no marks"),
        ("<image>?", (3,), "are nothing; expected one mark for each"),
    ],
)
def test_marks_that_do_not_fit_are_refused(question, media, message):
    with pytest.raises(ValueError, match=f"toy/1: turn 0: .*{message}"):
        sample(Turn(question, "", media=media))
