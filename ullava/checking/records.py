"""Looks at one record: its files, sizes, masks, boxes, texts, and whether its task can ask about it.

At the depth of paths nothing is decoded. Deeper, every picture and mask is, a film's frames are read, and the record
becomes the row that the model would get, so that its length is known.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ullava.checking.data_issues import DataIssue, unread
from ullava.configs.schema import DataRow, EvaluationRow
from ullava.datasets import boxes, images, videos
from ullava.datasets.masks import Mask, Union
from ullava.datasets.readers.base import Reader
from ullava.datasets.structures import Box, Dialogue, Picture, Region, Sample
from ullava.models.batching.example import Example
from ullava.models.batching.processor import Processor
from ullava.tasks.base import Task

WRONG = (LookupError, ValueError, OSError)  # what a reader, a task or the processor raises about a record
NEAR = 1.0  # pixels that a box may lie outside: files round in several ways
APART = 0.5, 4.0  # a box frames its mask where their IoU is larger, or no side is off by more pixels
ENDLESS = 1 << 30  # tokens


@dataclass(frozen=True, slots=True)
class Looked:
    """What one record holds, small enough to be sent between processes.

    Attributes:
        id: None where it cannot be read.
        paths: of its pictures and videos.
        classes: how many regions of each category, of those that a training can ask about.
        length: tokens of the whole dialogue, patches included; None where it was not written.
    """

    number: int
    id: str | None = None
    paths: tuple[Path, ...] = ()
    phrases: int = 0
    turns: int = 0
    classes: tuple[tuple[str, int], ...] = ()
    length: int | None = None
    deep: bool = False
    issues: tuple[DataIssue, ...] = ()


@dataclass(frozen=True)
class Inspector:
    """Looks at the records of one row of the YAML.

    Args:
        processor: writes rows; None where the model's folders are not here.
    """

    row: DataRow | EvaluationRow
    reader: Reader
    task: Task
    processor: Processor | None = None

    def __call__(self, number: int, deep: bool) -> Looked:
        """Looks at a record; what is wrong with it is returned, not raised."""
        name = self.row.dataset
        try:
            sample = self.reader[number]
        except WRONG as error:
            return Looked(number, deep=deep, issues=(unread(name, number, error),))
        faults, length = [*files(sample), *texts(sample), *places(sample)], None
        if deep and not faults:
            row, refused = self.write(sample, number)
            faults += pixels(sample, {medium.key: medium.size for medium in row.media} if row else {})
            faults += refused if not faults else ()
            length = len(row.input_ids) if row else None
        classes = Counter(region.category for region in sample.regions if region.category)
        return Looked(
            number,
            sample.id,
            paths=tuple(medium.path for medium in sample.media),
            phrases=sum(len(region.phrases) for region in sample.regions),
            turns=len(sample.turns),
            classes=tuple(classes.items()),
            length=length,
            deep=deep,
            issues=tuple(DataIssue(kind, name, sample.id, message) for kind, message in faults),
        )

    def dialogue(self, sample: Sample, number: int) -> Dialogue:
        """What a training may ask about the sample, the same each time, or an evaluation's first question."""
        if isinstance(self.row, DataRow):
            return self.task.dialogue(sample, np.random.default_rng(number))
        eval_dialogues = list(self.task.eval_dialogues(sample))
        if not eval_dialogues:
            raise ValueError(f"{sample.id}: task {self.task.name} asks nothing about it; take another task or dataset")
        return eval_dialogues[0]

    def write(self, sample: Sample, number: int) -> tuple[Example | None, list[tuple[str, str]]]:
        """Writes the whole row of a sample; returns it or None, and why it cannot be written or does not fit."""
        try:
            dialogue = self.dialogue(sample, number)
            if self.processor is None:
                return None, []
            row = self.processor.with_length(ENDLESS)(dialogue)
        except WRONG as error:
            return None, [("task", str(error))]
        if len(row.input_ids) > self.processor.max_length:
            try:
                self.processor.fit(dialogue, True)
            except WRONG as error:
                return row, [("long", str(error))]
        return row, []


def files(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yields what is missing of a sample's pictures, videos and mask files."""
    named = [medium.path for medium in sample.media]
    drawn = [region.mask for region in sample.regions] + [sample.ignored]
    for path in dict.fromkeys([*named, *(path for mask in drawn for path in files_of(mask))]):
        if not path.is_file():
            yield "missing", f"{path}: no such file"


def files_of(mask: Mask | None) -> tuple[Path, ...]:
    """The files that a mask is drawn from."""
    if isinstance(mask, Union):
        return tuple(path for part in mask.masks for path in files_of(part))
    path = getattr(mask, "path", None)
    return (path,) if path else ()


def texts(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yields phrases and answers without a word."""
    for number, turn in enumerate(sample.turns):
        if not turn.answer.strip():
            yield "empty", f"turn {number} has no answer"
    for number, region in enumerate(sample.regions):
        if any(not phrase.strip() for phrase in region.phrases):
            yield "empty", f"{called(region, number)} has a phrase without a word"


def places(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yields boxes that hold nothing or leave the picture, as large as its annotation says."""
    for number, region in enumerate(sample.regions):
        if region.picture >= len(sample.media):
            yield "record", f"{called(region, number)} lies in picture {region.picture}, there are {len(sample.media)}"
        elif region.box and isinstance(medium := sample.media[region.picture], Picture) and medium.size:
            yield from placed(region.box, medium.size, called(region, number))


def placed(box: Box, size: tuple[int, int], name: str) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with where a box lies in a picture of this size."""
    x0, y0, x1, y1 = box
    shown = " ".join(f"{edge:g}" for edge in box)
    if x1 <= x0 or y1 <= y0:
        yield "empty", f"{name}: the box {shown} (x0 y0 x1 y1) holds nothing"
    elif min(x0, y0) < -NEAR or x1 > size[1] + NEAR or y1 > size[0] + NEAR:
        yield "outside", f"{name}: the box {shown} (x0 y0 x1 y1) leaves its picture of {size[0]} x {size[1]} (H x W)"


def pixels(sample: Sample, known: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with the pixels of a sample's pictures, videos and masks.

    Args:
        known: size of each medium that its row has read already, by `PlacedMedium.key`.
    """
    sizes: dict[int, tuple[int, int]] = {}
    for number, medium in enumerate(sample.media):
        try:
            if isinstance(medium, Picture):
                sizes[number] = known.get(str(medium.path)) or images.read(Picture(medium.path)).shape[:2]
            elif f"{medium.path}:{medium.clip}" not in known:
                videos.read_frames(medium, 2)
        except WRONG as error:
            yield "broken", str(error)
            continue
        stated = medium.size if isinstance(medium, Picture) else None
        if stated and sizes[number] != tuple(stated):
            yield "size", f"{medium.path} is {across(sizes[number])}, its annotation says {across(stated)} (H x W)"
    for number, region in enumerate(sample.regions):
        size, name = sizes.get(region.picture), called(region, number)
        shown = sample.media[region.picture] if size else None
        if size and region.box and isinstance(shown, Picture) and not shown.size:
            yield from placed(region.box, size, name)
        if region.mask is not None:
            yield from drawn(region.mask, region.box, size, name)
    if sample.ignored is not None:
        yield from drawn(sample.ignored, None, sizes.get(0), "what is ignored", may_be_empty=True)


def drawn(
    mask: Mask, box: Box | None, size: tuple[int, int] | None, name: str, *, may_be_empty: bool = False
) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with one mask, and with the box around it."""
    try:
        pixels_of = mask.draw()
    except WRONG as error:
        yield "broken", f"{name}: {error}"
        return
    if size and pixels_of.shape != size:
        yield "size", f"{name}: the mask is {across(pixels_of.shape)}, its picture {across(size)} (H x W)"
    if not pixels_of.any():
        if not may_be_empty:
            yield "empty", f"{name}: the mask covers no pixel"
        return
    frame = boxes.box_of(pixels_of)
    overlap, off = APART
    if not box or not frame:
        return
    if boxes.iou(frame, box) < overlap and max(abs(a - b) for a, b in zip(frame, box, strict=True)) > off:
        shown, other = (" ".join(f"{edge:g}" for edge in edges) for edges in (box, frame))
        yield "frame", f"{name}: the box is {shown} (x0 y0 x1 y1), its mask lies in {other}"


def called(region: Region, number: int) -> str:
    """Names a region so that a person finds it in its file."""
    name = region.category or (region.phrases[0] if region.phrases else "")
    return f"region {number}" + (f" ({name})" if name else "")


def across(size: tuple[int, ...]) -> str:
    """Writes a size as H x W."""
    return " x ".join(map(str, size))
