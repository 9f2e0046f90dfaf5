"""Where the box of an answer comes from: a row of an evaluation names its source (`boxes:`), the results repeat it.

u-LLaVA's editions differ in nothing so much as in this: its first took the box of the mask or of a detector, its second
the [LOC] head's (arXiv:2311.05348, section 4.5).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ullava.configs.registry import Registry
from ullava.configs.tokens import LOC, SEG
from ullava.datasets.boxes import box_of
from ullava.datasets.structures import Answer, Box, Dialogue

BOX_SOURCES = Registry("box source")
THRESHOLD = 0.5  # of a mask's probabilities: logit 0, as LISA's evaluation


class BoxSource(ABC):
    """Finds boxes in an answer.

    Attributes:
        token: the owner token whose promises it answers.
    """

    name: ClassVar[str]
    token: ClassVar[str]

    @abstractmethod
    def __call__(self, question: Dialogue, answer: Answer) -> Sequence[Box | None]:
        """One box per `token` in the answer, in the order of the text; None where there is nothing to frame."""


@BOX_SOURCES.register("box")
class HeadBox(BoxSource):
    """The box head's own prediction under [LOC]."""

    token = LOC

    def __call__(self, question, answer):
        return answer.predictions.get("box", ())


@BOX_SOURCES.register("mask2box")
class MaskFrame(BoxSource):
    """The frame of the mask predicted under [SEG]."""

    token = SEG

    def __call__(self, question, answer):
        return [box_of(np.asarray(mask) > THRESHOLD) for mask in answer.predictions.get("mask", ())]
