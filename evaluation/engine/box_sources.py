"""Where the box of an answer comes from: a row of an evaluation names its source (`boxes:`), the results repeat it.

    box         the [LOC] state through an MLP                                   boxes: box
    detector    the [LOC] state in the place of a GroundingDINO's text           boxes: detector
    mask2box    the frame of the [SEG] mask                                      boxes: mask2box
    grounding   a GroundingDINO asked for the [tag]ged words of the answer       boxes: {grounding: {weights: ...}}

u-LLaVA's editions differ in nothing so much as in this: its first took the box of the mask or of a detector, its second
the [LOC] head's (arXiv:2311.05348, section 4.5).
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ullava.configs.registry import Registry
from ullava.configs.tokens import END_TAG, LOC, SEG, TAG
from ullava.datasets.boxes import iou
from ullava.datasets.components import Join, boxes_of
from ullava.datasets.structures import Answer, Box, Dialogue, Picture
from ullava.models.folders.hub import local_folder
from ullava.tasks.base import Task
from ullava.tasks.regions import HEAD_OF

if TYPE_CHECKING:
    from ullava.models.detectors.prompter import Prompter

BOX_SOURCES: Registry[type["BoxSource"]] = Registry("box source")
NAMED = re.compile(re.escape(TAG) + "(.+?)" + re.escape(END_TAG))
THRESHOLD = 0.5  # of a mask's probabilities: logit 0, as LISA's evaluation


class BoxSource(ABC):
    """Finds boxes in an answer.

    Attributes:
        token: the owner token whose promises it answers.
        head: name of the head without which it finds nothing; None where it needs none of its own.
    """

    name: ClassVar[str]
    token: ClassVar[str]
    head: ClassVar[str | None] = None

    def load(self) -> None:  # noqa: B027, most sources have no weights of their own
        """Loads the weights that it needs, so that a broken file is known before the first question."""

    @abstractmethod
    def __call__(self, question: Dialogue, answer: Answer) -> Sequence[Box | None]:
        """One box per `token` in the answer, in the order of the text; None where there is nothing to frame."""


def source_of(boxes: str | Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """The name and the options of a source as a row writes it.

    Raises:
        ValueError: more than one source, or none.
    """
    if boxes is None or isinstance(boxes, str):
        return boxes or "box", {}
    if len(boxes) != 1:
        raise ValueError(f"boxes: expected one source a row, found {', '.join(boxes) or 'none'}; write a row for each")
    ((name, options),) = boxes.items()
    return name, options or {}


def open_source(boxes: str | Mapping[str, Any] | None) -> BoxSource:
    """The source that a row names; None: the box head.

    Raises:
        LookupError: no such source.
        FileNotFoundError, ValueError: an option, or the detector it names, is not there or not right.
    """
    name, options = source_of(boxes)
    return BOX_SOURCES.build(name, options)


def source_fault(name: str, task: Task) -> str | None:
    """Says why a source cannot answer a task: the task's answers never hold the source's token; None if they do."""
    token = BOX_SOURCES[name].token
    if HEAD_OF[token] in task.heads:
        return None
    return f"boxes: {name} makes a box of {token}, which answers of task {task.name} do not say; ask by another task"


@BOX_SOURCES.register("box")
class HeadBox(BoxSource):
    """The box head's own prediction under [LOC]."""

    token = LOC

    def __call__(self, question, answer):
        return answer.predictions.get("box", ())


@BOX_SOURCES.register("detector")
class DetectorBox(BoxSource):
    """The detector head's own prediction under [LOC]."""

    token = LOC
    head = "detector"

    def __call__(self, question, answer):
        if "detector" not in answer.predictions:
            raise LookupError("boxes: detector: the model has no detector head; train one (model.heads.detector)")
        return answer.predictions["detector"]


@BOX_SOURCES.register("mask2box")
class MaskFrame(BoxSource):
    """The frame of the mask predicted under [SEG], without its crumbs.

    Args:
        least: parts of less than this share of the largest one's pixels are crumbs; 0 keeps all.
        pixels: and so are parts of fewer pixels than these.
        join: "union", or "largest" for the frame of the largest part.
    """

    token = SEG

    def __init__(self, least: float = 0.1, pixels: int = 0, join: Join = "union"):
        self.least, self.pixels = least, pixels
        self.join: Join = join

    def __call__(self, question, answer):
        drawn = [np.asarray(mask) > THRESHOLD for mask in answer.predictions.get("mask", ())]
        mask_boxes = (boxes_of(mask, self.join, least=self.least, pixels=self.pixels) for mask in drawn)
        return [boxes[0] if boxes else None for boxes in mask_boxes]


@BOX_SOURCES.register("grounding")
class GroundedBox(BoxSource):
    """Of the boxes that a GroundingDINO finds for the tagged words, the one that fits the mask's frame best.

    It answers for [SEG], as in u-LLaVA's first edition, which fell back on the mask's frame where nothing was found.
    Here that is a miss: the detector is scored, not the mask.

    Args:
        weights: folder of transformers, or a published file; text: for a file, folder of its text encoder.
        threshold: of a box's best token; text_threshold: of a token it answers to.
        least: as of `mask2box`.
        attention_heads: of a published file that does not tell.
    """

    token = SEG

    def __init__(
        self, weights: str, text: str | None = None, threshold: float = 0.25, text_threshold: float = 0.2,
        least: float = 0.1, attention_heads: int | None = None,
    ):  # fmt: skip
        self.frame = MaskFrame(least)
        weights = local_folder(weights, "boxes.grounding.weights")
        self.options = weights, text, threshold, text_threshold, attention_heads
        check_prompter(weights, text)

    def load(self):
        """Opens the detector."""
        open_prompter(*self.options)

    def __call__(self, question, answer):
        frames, names = self.frame(question, answer), NAMED.findall(answer.text)
        media, find = question.sample.media, open_prompter(*self.options)
        places = [promise.region.picture for promise in question.promises if promise.token == SEG]
        chosen: list[Box | None] = []
        for number, frame in enumerate(frames):
            medium = media[places[number] if number < len(places) else -1]
            boxes: list[Box] = []
            if names and isinstance(medium, Picture):
                boxes = list(find(medium, names[min(number, len(names) - 1)]))
            if frame:
                boxes = sorted(boxes, key=lambda box, frame=frame: -iou(box, frame))
            chosen.append(boxes[0] if boxes else None)
        return chosen


def check_prompter(weights: str, text: str | None) -> None:
    """Checks that a file or folder is a complete GroundingDINO; reads no weights.

    Raises:
        FileNotFoundError, ValueError: see `open_detector`.
    """
    from ullava.models.backbones.vision_tower import read_settings  # torch and all: only where a row wants it
    from ullava.models.detectors.opening import find_text

    key = "boxes.grounding.weights"
    if not Path(weights).exists():
        raise FileNotFoundError(
            f"{key}: {weights}: no such file or folder; published weights: groundingdino_swint_ogc.pth "
            "(github.com/IDEA-Research/GroundingDINO, releases), or a folder like IDEA-Research/grounding-dino-tiny"
        )
    find_text(Path(weights), text, key)
    if Path(weights).is_dir():
        kind = read_settings(weights, "config.json", key).get("model_type")
        if kind != "grounding-dino":
            raise ValueError(f"{key}: {weights} holds a {kind!r}, expected 'grounding-dino'")


@lru_cache(maxsize=1)
def open_prompter(
    weights: str, text: str | None, threshold: float, text_threshold: float, attention_heads: int | None = None
) -> "Prompter":
    """Opens a detector; rows that name the same one share it."""
    from ullava.models.detectors.opening import open_detector  # torch and all: only where a row wants it
    from ullava.models.detectors.prompter import Prompter

    opened = open_detector(weights, text, attention_heads=attention_heads, key="boxes.grounding.weights")
    return Prompter(opened, threshold=threshold, text_threshold=text_threshold)
