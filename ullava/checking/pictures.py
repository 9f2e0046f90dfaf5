"""Draws a record as the model will get it: its pictures as each tower sees them, its tokens, what they promise.

A promise's mask and box have one colour, and its token in the text has it, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw

from ullava.checking.records import Inspector
from ullava.configs.tokens import LOC, SEG
from ullava.datasets import images, videos
from ullava.datasets.images import View
from ullava.datasets.structures import OWNER_PATTERN, Box, Dialogue, Picture, Promise
from ullava.evaluation.engine.scoring import true_box
from ullava.evaluation.report.best_worst import data_uri
from ullava.evaluation.report.visualise import beside, colour, corners, enlarge, line_width, overlay
from ullava.models.batching.example import Example
from ullava.models.batching.processor import Processor

SEES, MASKS = View(224), View(512, "corner", background=(0, 0, 0))  # where the model's own are not known
SHOWN = 512  # pixels of a square on the page, at most
FRAMES = 4  # of a film


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text.

    Attributes:
        supervised: whether the language loss counts it.
        promise: number of the promise that its token owns.
    """

    text: str
    supervised: bool
    promise: int | None = None


@dataclass(frozen=True, slots=True)
class DrawnExample:
    """One record on the page.

    Attributes:
        panels: (what it is, address of the picture).
        pieces: the text; as tokens where the model's tokenizer is here.
        length: tokens; None where it is not.
    """

    id: str
    panels: tuple[tuple[str, str], ...]
    pieces: tuple[Piece, ...]
    length: int | None


def example(inspector: Inspector, number: int) -> DrawnExample:
    """Record `number` as the page shows it."""
    processor = inspector.processor
    dialogue = inspector.dialogue(inspector.reader[number], number)
    if processor is None:
        return DrawnExample(dialogue.id, tuple(panels(dialogue, SEES, MASKS)), tuple(plain(dialogue)), None)
    dialogue = processor.fit(dialogue, True)[0]  # without the turns that would be cut
    row = processor(dialogue)
    drawn = tuple(panels(dialogue, processor.view, processor.mask_view))
    return DrawnExample(dialogue.id, drawn, tuple(pieces(row, processor)), len(row.input_ids))


def panels(dialogue: Dialogue, view: View, mask_view: View | None) -> Iterator[tuple[str, str]]:
    """Yields each picture as the vision tower sees it, under its boxes, and as SAM does, under its masks."""
    for number, medium in enumerate(dialogue.sample.media):
        if not isinstance(medium, Picture):
            frames = [square(view, frame) for frame in videos.read_frames(medium, FRAMES)]
            yield f"{FRAMES} frames as the vision tower sees them", data_uri(beside(frames))
            continue
        picture = images.read(medium)
        promised = [(k, promise) for k, promise in enumerate(dialogue.promises) if promise.region.picture == number]
        yield "as the vision tower sees it", data_uri(draw(picture, view, promised, masks=mask_view is None))
        if mask_view and promised:
            yield "as SAM sees it", data_uri(draw(picture, mask_view, promised, masks=True))


def draw(picture: np.ndarray, view: View, promised: Sequence[tuple[int, Promise]], *, masks: bool) -> np.ndarray:
    """The picture in a view's square, (S, S, 3) uint8, under the masks and boxes that are promised of it.

    Args:
        picture: (H, W, 3) uint8.
        promised: (number, promise) of this picture; the number chooses the colour.
        masks: draw the masks, too, and not the boxes alone.
    """
    size, side = picture.shape[:2], min(view.side, SHOWN)
    view = replace(view, side=side)
    shown = view.apply(picture)
    count = max((k for k, _ in promised), default=-1) + 1
    covers: list[np.ndarray] = [np.zeros((side, side), bool) for _ in range(count)]
    frames: dict[int, Box] = {}
    for k, promise in promised:
        if masks and promise.token == SEG and promise.region.mask is not None:
            cover = np.repeat(promise.region.mask.draw()[..., None], 3, axis=-1).astype(np.uint8) * 255
            covers[k] = replace(view, background=(0, 0, 0)).apply(cover)[..., 0] > 127
        if promise.token == LOC and (box := true_box(promise.region)):
            x0, y0, x1, y1 = (view.boxes_to(np.array([box]), size)[0] * side).tolist()
            frames[k] = x0, y0, x1, y1
    drawn = Image.fromarray(overlay(shown, covers, []))
    pen = ImageDraw.Draw(drawn)
    for k, frame in frames.items():
        pen.rectangle(corners(frame), outline=colour(k), width=line_width(shown))
    return enlarge(np.asarray(drawn), [], [])[0]


def square(view: View, frame: np.ndarray) -> np.ndarray:
    """A frame of a film in the view's square."""
    return replace(view, side=min(view.side, SHOWN // 2)).apply(frame)


def pieces(row: Example, processor: Processor) -> Iterator[Piece]:
    """Yields a row's tokens as stretches of one kind: supervised or not, owned by a promise or not, patches as one."""
    owned = {promise.column: k for k, promise in enumerate(row.promises)}
    patches = set(processor.patch_ids.values())
    tokens = zip(row.input_ids.tolist(), row.supervised.tolist(), range(len(row.input_ids)), strict=True)
    for (supervised, patch, promise), group in groupby(
        tokens, lambda token: (token[1], token[0] if token[0] in patches else None, owned.get(token[2]))
    ):
        ids = [token[0] for token in group]
        text = str(processor.tokenizer.decode(ids[:1] if patch else ids))
        yield Piece(f"{text} x {len(ids)} " if patch else processor.unspell(text), supervised, promise)


def plain(dialogue: Dialogue) -> Iterator[Piece]:
    """Yields questions and answers as they are written, without a tokenizer."""
    number = 0
    for turn in dialogue.turns:
        yield Piece(turn.question + "\n", False)
        at = 0
        for match in OWNER_PATTERN.finditer(turn.answer):
            yield Piece(turn.answer[at : match.start()], True)
            yield Piece(match.group(), True, number)
            at, number = match.end(), number + 1
        yield Piece(turn.answer[at:] + "\n", True)


def paint(number: int) -> str:
    """A promise's colour, as a page writes it."""
    return "#" + "".join(f"{channel:02x}" for channel in colour(number))
