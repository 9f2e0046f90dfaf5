"""Scores one answer: pairs what the model answered with what was promised, and measures the pairs.

The i-th [SEG] of an answer is held against the i-th one promised. What is missing counts as wrong, what is said beyond
the promise counts in `emission` alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np

from ullava.configs.tokens import NEG, SEG
from ullava.datasets.boxes import box_of
from ullava.datasets.masks import Mask
from ullava.datasets.structures import Answer, Box, Dialogue, Picture, Region, Video
from ullava.evaluation.engine.box_sources import THRESHOLD, BoxSource
from ullava.evaluation.engine.predictions import write_line
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.engine.sizes import move, resize, size_of
from ullava.evaluation.engine.soft_masks import to_png
from ullava.evaluation.metrics.base import Metric, Record
from ullava.tasks.base import Reading, Task

READABLE = ("mask", "union", "box", "text", "answer", "names")  # what metrics may read of an answer


class Pair(NamedTuple):
    """A prediction, its truth (None where the annotation gives none), and the class asked for."""

    prediction: Any
    truth: Any
    category: str | None = None
    ignored: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class ScoredQuestion:
    """One scored question: small enough to be sent between ranks.

    Attributes:
        place: of the question in its row.
        picture: what the bootstrap draws: questions about one picture stand and fall together.
        records: metric name -> one record per pair.
        line: of predictions.jsonl; None where nobody keeps it.
        soft: beside the line, the predicted masks as grey PNGs, where a metric reads probabilities.
    """

    place: int
    picture: str
    records: Mapping[str, tuple[Record, ...]]
    line: dict[str, Any] | None
    soft: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class QuestionScorer:
    """Scores the answers of one row.

    Attributes:
        head: the beginning of each line of predictions.jsonl: dataset, task, answers, protocol.
        boxes: where boxes come from.
        keep_lines: whether scored carry their line.
        settle: what a protocol makes of the masks of one conversation before they are compared.
    """

    task: Task
    metrics: Sequence[Metric]
    boxes: BoxSource
    head: Mapping[str, str]
    keep_lines: bool = False
    settle: Callable[[Sequence[Pair]], list[Pair]] = list

    def __call__(
        self, place: int, question: Question, answer: Answer, masks: list[Pair] | None = None
    ) -> ScoredQuestion:
        """Scores the answer to the question at `place`.

        Args:
            masks: pairs that were made of several answers at once (`named_masks`); None: this one's own.

        Raises:
            ValueError: a metric needs a truth that the dataset does not hold, or a predicted mask has another size than
                its picture.
        """
        pairs = self.pairs(question, answer, masks)
        records = {metric.name: tuple(measure(metric, pairs[metric.reads], question)) for metric in self.metrics}
        if not self.keep_lines:
            return ScoredQuestion(place, picture_of(question.meant), records, None)
        graded = any(metric.graded for metric in self.metrics)
        soft = tuple(to_png(pair.prediction) for pair in pairs["mask"]) if graded else ()
        line = self.line(question.meant, answer, pairs, records)
        return ScoredQuestion(place, picture_of(question.meant), records, line, soft)

    def pairs(self, question: Question, answer: Answer, masks: list[Pair] | None = None) -> dict[str, list[Pair]]:
        """Pairs an answer with the truth, by what metrics read: "mask", "box", "text", "answer", "names", "union"."""
        turns, turn = question.meant.turns, question.meant.turns[-1]
        words = answer.text if len(turns) == 1 else turn.answer  # a conversation is a given one: its last answer stands
        reading = self.task.read(words)
        heard, written = self.task.glean(words, question.meant.sample), self.task.read(turn.answer)
        references = turn.references or (written.text if written else turn.answer,)
        union = any(metric.reads == "union" for metric in self.metrics)
        return {
            "mask": self.settle(pair_masks(question, answer)) if masks is None else masks,
            "union": [pair_union(question, answer)] if union else [],
            "box": pair_boxes(question, answer, self.boxes),
            "text": [Pair(reading.text if reading else words, references)],
            "answer": [Pair((words, reading is not None), turn.answer)],
            "names": [Pair(called_there(heard), (called_there(written), called_absent(written)))],
        }

    def line(self, dialogue: Dialogue, answer: Answer, pairs, records) -> dict[str, Any]:
        """The question's line of predictions.jsonl."""
        scores = {}
        for metric in self.metrics:
            scores |= metric.score(records[metric.name])
        source = self.boxes.name if any(metric.reads == "box" for metric in self.metrics) else None
        scored_by = [metric.name for metric in self.metrics]
        line = write_line(dialogue, answer, self.head, pairs, scores)
        line["truth"] |= {"picture": picture_of(dialogue), "scored_by": scored_by}
        line["predicted"] |= {"protocol": self.head.get("protocol"), "source": source}
        return line


def measure(metric: Metric, pairs: Sequence[Pair], question: Question) -> Iterator[Record]:
    """Yields the metric's record of each pair."""
    for pair in pairs:
        if pair.truth is None:
            raise ValueError(
                f"{question.meant.id}: metric {metric.name!r} expects a true {metric.reads}, the annotation has none; "
                "take another task for this dataset"
            )
        yield metric.measure(pair.prediction, pair.truth, category=pair.category, ignored=pair.ignored)


def pair_masks(question: Question, answer: Answer) -> list[Pair]:
    """One pair per [SEG] promised; of a shuffled question the prediction is brought to the truth's size."""
    meant = question.meant
    regions = promised(meant, SEG)
    ignored = meant.sample.ignored.draw() if regions and meant.sample.ignored else None
    pairs = []
    for region, mask in zip(regions, chain(answer.predictions.get("mask", ()), repeat(None))):  # noqa: B905, endless
        truth = region.mask.draw() if region.mask else None
        mask = None if mask is None else np.asarray(mask)
        if mask is not None and truth is not None and mask.shape != truth.shape:
            if not question.shuffled:
                raise ValueError(
                    f"{meant.id}: expected a mask of size {truth.shape}, as the annotation's, found {mask.shape}; "
                    "is it the annotation of another picture?"
                )
            mask = resize(mask, truth.shape)
        pairs.append(Pair(mask, truth, region.category, ignored))
    return pairs


def pair_union(question: Question, answer: Answer) -> Pair:
    """All masks of an answer as one, against all that is promised; nothing is meant where nothing is promised."""
    meant = question.meant
    regions = promised(meant, SEG)
    if any(region.mask is None for region in regions):
        return Pair(None, None)
    picture = meant.sample.media[regions[0].picture if regions else 0]
    truth = np.zeros(mask_of(regions[0]).size if regions else size_of(picture), bool)
    for region in regions:
        truth |= mask_of(region).draw()
    drawn = [np.asarray(mask) > THRESHOLD for mask in answer.predictions.get("mask", ())]
    if question.shuffled:
        drawn = [resize(mask, truth.shape) for mask in drawn]
    ignored = meant.sample.ignored.draw() if meant.sample.ignored else None
    return Pair(np.logical_or.reduce(drawn) if drawn else None, truth, None, ignored)


def pair_boxes(question: Question, answer: Answer, source: BoxSource) -> list[Pair]:
    """One pair per promise that the source answers; of a shuffled question the box is stretched with its picture."""
    meant, asked = question.meant, question.asked
    regions = promised(meant, source.token)
    boxes = source(asked, answer) if regions else ()
    pairs = []
    for region, box in zip(regions, chain(boxes, repeat(None))):  # noqa: B905, endless
        if box is not None and question.shuffled:
            box = move(box, size_of(asked.sample.media[region.picture]), size_of(meant.sample.media[region.picture]))
        pairs.append(Pair(None if box is None else as_box(box), true_box(region), region.category))
    return pairs


def promised(dialogue: Dialogue, token: str) -> list[Region]:
    """The regions that `token` stands for, in the order of the text."""
    return [promise.region for promise in dialogue.promises if promise.token == token]


def mask_of(region: Region) -> Mask:
    """The mask of a region that [SEG] stands for: no task lets it stand for one without."""
    assert region.mask is not None  # tasks/regions.py, keeps
    return region.mask


def called_there(reading: Reading | None) -> list[str]:
    """The names of an answer that it does not deny."""
    absent = called_absent(reading)
    return [name for name in reading.names if name not in absent] if reading else []


def called_absent(reading: Reading | None) -> list[str]:
    """The names of an answer that it denies: [NEG] stands where another name has its token."""
    if reading is None or NEG not in reading.tokens or len(reading.tokens) != len(reading.names):
        return []
    return [name for name, token in zip(reading.names, reading.tokens, strict=True) if token == NEG]


def true_box(region: Region) -> Box | None:
    """The annotated box, or else the frame of the mask."""
    return region.box or (box_of(region.mask.draw()) if region.mask else None)


def as_box(numbers: Sequence[float]) -> Box:
    """Converts a head's box to four plain floats."""
    x0, y0, x1, y1 = (float(number) for number in numbers)
    return x0, y0, x1, y1


def picture_of(dialogue: Dialogue) -> str:
    """The pictures or the video a question is about; its sample's id where there is only text."""
    return "|".join(map(called, dialogue.sample.media)) or dialogue.sample.id


def called(medium: Picture | Video) -> str:
    """Names a medium by its path, and a part of a video also by its seconds."""
    clip = medium.clip if isinstance(medium, Video) else None
    return f"{medium.path}#{clip[0]}-{clip[1]}" if clip else str(medium.path)
