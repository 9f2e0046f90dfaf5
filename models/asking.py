"""Questions as people ask them in Python, as dialogues; and what they get back, a `Reply`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ullava.datasets.structures import (
    MARK,
    OWNER_PATTERN,
    Answer,
    Box,
    Dialogue,
    Promise,
    Region,
    Sample,
    Turn,
)
from ullava.models.given_pictures import Given, open_given

THRESHOLD = 0.5  # of a mask's probabilities: logit 0, as LISA's evaluation

Pictures = Given | Sequence[Given] | None  # of one question


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says, and what its owner tokens stand for, each kind in the order of the text.

    Attributes:
        text: the answer.
        masks: (H, W) bool each, of the picture's own size: upright, as its EXIF says.
        boxes: x0, y0, x1, y1 in pixels of the same picture, x1 and y1 outside.
        confidences: of each mask, the mean probability inside it, 0.5 to 1; None where it is empty.
        expected_ious: of each mask, the IoU with the truth that SAM's decoder expects, 0 to 1; empty where the model's
            mask head expects nothing.
        turns: the conversation so far, (question, answer) each, this one last.
    """

    text: str
    masks: tuple[np.ndarray, ...]
    boxes: tuple[Box, ...]
    confidences: tuple[float | None, ...] = ()
    expected_ious: tuple[float, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()


Turns = Sequence[tuple[str, str]] | Reply  # what was said before a question


def dialogues(
    question: str | Sequence[str],
    picture: Pictures | Sequence[Pictures] = None,
    turns: Turns | Sequence[Turns] = (),
    *,
    name: str = "asked",
) -> list[Dialogue]:
    """One dialogue per question, its answer open.

    Args:
        question: a text, or N. It may hold `<image>` where one of its pictures belongs, as many as it has pictures.
        picture: of one question: None, one picture, or a list of all that it is about. Of N: None, one for all, or N,
            each None, one, or a list.
        turns: the conversation before the question, as (question, answer) pairs or as a `Reply`; of N questions N.
        name: of the dialogues, for messages.

    Raises:
        FileNotFoundError, TypeError, ValueError: a picture that cannot be opened (`open_given`); another number of
            pictures or conversations than of questions; another number of marks than of pictures.
    """
    alone = isinstance(question, str)
    questions = [question] if isinstance(question, str) else list(question)
    pictures: list[Any] = [picture] * len(questions)
    conversations: list[Any] = [turns] if alone or isinstance(turns, Reply) else list(turns) or [()] * len(questions)
    if not alone and isinstance(picture, list | tuple):
        pictures = list(picture)
    for what, count in (("pictures", len(pictures)), ("turns", len(conversations))):
        if count != len(questions):
            raise ValueError(f"{name}: expected {what} for {len(questions)} questions, found {count}; give one each")
    return [
        open_dialogue(text, about, before, name)
        for text, about, before in zip(questions, pictures, conversations, strict=True)
    ]


def open_dialogue(question: str, pictures: Pictures, before: Turns, name: str = "asked") -> Dialogue:
    """A question behind the turns before it, its answer open; pictures that no turn marks stand in the first one."""
    if not isinstance(question, str):
        raise TypeError(f"{name}: expected a question as text, found a {type(question).__name__}")
    given: list[Any] = list(pictures) if isinstance(pictures, list | tuple) else [] if pictures is None else [pictures]
    media = tuple(open_given(picture) for picture in given)
    texts = [*(before.turns if isinstance(before, Reply) else before), (question, "")]
    turns = [Turn(*text) for text in texts]
    marks = [len(MARK.findall(turn.question)) for turn in turns]
    if media and sum(marks):
        if sum(marks) != len(media):
            raise ValueError(
                f"{name}: the questions hold {sum(marks)} marks (<image>) and are about {len(media)} pictures; write "
                "one mark a picture, or none"
            )
        places = iter(range(len(media)))
        turns = [
            Turn(turn.question, turn.answer, media=tuple(next(places) for _ in range(count)))
            for turn, count in zip(turns, marks, strict=True)
        ]
    tokens = [(token, number) for number, turn in enumerate(turns) for token in OWNER_PATTERN.findall(turn.answer)]
    promises = tuple(Promise(token, Region(), number) for token, number in tokens)
    return Dialogue(name, Sample(name, media), tuple(turns), promises)


def reply(dialogue: Dialogue, answer: Answer) -> Reply:
    """What the model answered to an open dialogue."""
    probabilities = [np.asarray(mask) for mask in answer.predictions.get("mask", ())]
    masks = tuple(mask > THRESHOLD for mask in probabilities)
    boxes = cast(tuple[Box, ...], answer.predictions.get("box") or answer.predictions.get("detector", ()))
    *before, last = dialogue.turns
    return Reply(
        answer.text,
        masks,
        boxes,
        tuple(
            float(soft[mask].mean()) if mask.any() else None for soft, mask in zip(probabilities, masks, strict=True)
        ),
        tuple(answer.scores.get("mask", ())),
        (*((turn.question, turn.answer) for turn in before), (last.question, answer.text)),
    )
