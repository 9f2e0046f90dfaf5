"""The plain data that the program passes on: what becomes tensors, and what the model answers.

    Reader -> Sample -> Task -> Dialogue -> Processor -> tensors ... model -> Answer

A Sample holds facts about its pictures and nothing about prompts. A Dialogue holds what is asked and answered about
it. One rule holds everywhere: an owner token in an answer is a promise of one region's mask, box or word, and a
dialogue lists its promises in the order of the text.

Sizes are (H, W). Boxes are x0, y0, x1, y1 in pixels of the original picture, x1 and y1 outside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.configs.tokens import IMAGE, OWNERS, VIDEO
from ullava.datasets.masks import Mask

Box = tuple[float, float, float, float]
OWNER_PATTERN = re.compile("|".join(re.escape(token) for token in OWNERS))
MARK = re.compile(f"{IMAGE}|{VIDEO}")  # stands in a question where one of several media belongs


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture file; `size` is what the annotation claims, checked when the pixels are read.

    `mirrored`: it is seen as in a mirror (datasets/mirror.py). `image`: an upright RGB picture in memory, of which
    `path` is only the name.
    """

    path: Path
    size: tuple[int, int] | None = None
    mirrored: bool = False
    image: Image.Image | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Video:
    """One video file, or a part of it; `clip` is (start, end) in seconds."""

    path: Path
    clip: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """One object, or all that is of one class, in a picture.

    Attributes:
        phrases: ways to say which one it is; empty where only a category is known.
        category: name of its class.
        box, mask: where it is; at least one of them for a promise to be scored.
        picture: its place in `Sample.media`.
        reason: why it is the one asked for (salient segmentation's explanation).
        keyword: the word or two that a question about it comes down to (KeySeg); None where nobody found one.
        sentences: whether its phrases are whole sentences that ask for it, instead of names (ReasonSeg).

    Raises:
        ValueError: the box is not four finite numbers.
    """

    phrases: tuple[str, ...] = ()
    category: str | None = None
    box: Box | None = None
    mask: Mask | None = None
    picture: int = 0
    reason: str | None = None
    keyword: str | None = None
    sentences: bool = False

    def __post_init__(self):
        if self.box is not None and not (len(self.box) == 4 and all(map(isfinite, self.box))):
            raise ValueError(f"box: expected four finite numbers, found {self.box}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer; `references` are all answers that people gave, for training draws and scores.

    A Sample's turn whose question is "" is an answer without a written question (a caption): the task asks.

    Attributes:
        media: places in `Sample.media` that the marks `<image>` and `<video>` in the question stand for, in the order
            of the text, so that a turn keeps its pictures whatever other turns are left out. Empty: it has no marks,
            and what looks like one is plain text. Media that no turn of the sample marks go to the first question; of
            a sample's marked ones a dialogue shows those that it marks itself, or all in front if it marks none.
    """

    question: str
    answer: str
    references: tuple[str, ...] = ()
    media: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Facts about pictures and videos, as their annotation file states them.

    Attributes:
        id: "dataset/record", e.g. "refcoco_train/581857": stands in every message.
        media: pictures and videos, in the order of the text where that has marks (`Turn.media`); often one, or none.
        regions: objects in it; for label maps one region per class present.
        absent: names the annotators looked for and did not find.
        turns: written dialogue: captions, questions and answers, instructions.
        ignored: pixels (of the first picture) that belong to no class and count nowhere.
    """

    id: str
    media: tuple[Picture | Video, ...] = ()
    regions: tuple[Region, ...] = ()
    absent: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    ignored: Mask | None = None

    def __post_init__(self):
        for number, turn in enumerate(self.turns):
            if turn.media:
                check_marks(turn, self.media, f"{self.id}: turn {number}")


def check_marks(turn: Turn, media: tuple[Picture | Video, ...], where: str) -> None:
    """Compares the marks in a question with the media that the turn says they stand for.

    Raises:
        ValueError: another number of marks, or one of the wrong kind.
    """
    marks = MARK.findall(turn.question)
    known = [media[place] if 0 <= place < len(media) else None for place in turn.media]
    expected = [VIDEO if isinstance(medium, Video) else IMAGE if medium else "nothing" for medium in known]
    if marks != expected:
        raise ValueError(
            f"{where}: the question holds {' '.join(marks) or 'no marks'}, its media {turn.media} are "
            f"{' '.join(expected)}; expected one mark for each, in their order"
        )


@dataclass(frozen=True, slots=True)
class Promise:
    """The region that one owner token refers to.

    Attributes:
        token: the owner token, in our spelling.
        region: what the head has to predict.
        turn: index of the turn whose answer says the token.
        words: names of what it stands for, the whole one first: the keyword under [KEY], the labels of a mask that is
            contrasted with others; empty where nobody asks.
    """

    token: str
    region: Region
    turn: int
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is asked and answered about a sample, and what each owner token of the answers promises.

    Attributes:
        id: the sample's id; of an evaluation's question, "sample#question".

    Raises:
        ValueError: the owner tokens of the answers are not the promised ones, in the order of the text.
    """

    id: str
    sample: Sample
    turns: tuple[Turn, ...]
    promises: tuple[Promise, ...] = ()

    def __post_init__(self):
        written = [(token, i) for i, turn in enumerate(self.turns) for token in OWNER_PATTERN.findall(turn.answer)]
        promised = [(promise.token, promise.turn) for promise in self.promises]
        if written != promised:
            for token in OWNERS:
                counts = [sum(t == token for t, _ in pairs) for pairs in (written, promised)]
                if counts[0] != counts[1]:
                    raise ValueError(f"{self.id}: {token} said {counts[0]} times, promised {counts[1]}")
            raise ValueError(f"{self.id}: promises {promised} are not in the order of the text, {written}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's text, and the predictions of its heads for the owner tokens in it.

    Attributes:
        text: the answer in our spelling of the tokens, without padding or end of sentence.
        predictions: by head name, one prediction per owner token it reads, in the order of the text: a mask head
            gives (H, W) float32 probabilities of the original picture, a box head gives a `Box`.
        scores: by head name, how good it takes each of these to be, 0 to 1; empty where it has no opinion.
    """

    text: str
    predictions: Mapping[str, tuple[np.ndarray | Box, ...]] = field(default_factory=dict)
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
