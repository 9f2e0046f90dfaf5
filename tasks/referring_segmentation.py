"""Referring expression segmentation (RES): the mask, and the box, of what a phrase describes.

Where it describes nothing in the picture (gRefCOCO, arXiv:2306.00968) the answer says [NEG] in the place of [SEG], or
[SEG] of an empty mask, as LISA's program trains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ullava.configs.tokens import LOC, NEG, SEG
from ullava.datasets.images import size_of
from ullava.datasets.masks import Empty
from ullava.datasets.structures import Dialogue, Picture, Region, Sample
from ullava.tasks.base import TASKS, Reading
from ullava.tasks.regions import Asked, RegionTask


@TASKS.register("res")
@dataclass(frozen=True)
class ReferringSegmentation(RegionTask):
    """Asks by the regions' phrases, and by those that are absent, each in a turn of its own.

    Attributes:
        no_target: how an absent phrase is answered: "neg" by [NEG], which promises nothing; "empty_mask" by [SEG].
    """

    scores = {SEG: ("mask_iou",), LOC: ("box_accuracy",)}
    main_score = "gIoU"

    no_target: Literal["neg", "empty_mask"] = "neg"

    def asked(self, sample):
        asked = [(phrase, region) for region in sample.regions for phrase in region.phrases]
        if SEG in self.owners and sample.absent:
            nothing = Region(mask=Empty(size_in(sample)))
            asked += [(phrase, nothing) for phrase in sample.absent]
        if not asked:
            raise ValueError(
                f"{sample.id}: task {self.name} asks by phrases, found none on {len(sample.regions)} regions"
            )
        return asked

    def questions(self, region):
        return self.book.segment

    def called(self, phrase, region):
        return "" if is_nothing(region) else super().called(phrase, region)

    def keeps(self, region, token):
        return super().keeps(region, token) and not (token == LOC and is_nothing(region))

    def write(
        self,
        id: str,
        sample: Sample,
        asked: Sequence[Asked],
        questions: Sequence[str],
        rng: np.random.Generator | None = None,
    ) -> Dialogue:
        dialogue = super().write(id, sample, asked, questions, rng)
        if self.no_target == "empty_mask":
            return dialogue
        denied = {turn for turn, (_, region) in enumerate(asked) if is_nothing(region)}
        turns = [
            replace(turn, answer=turn.answer.replace(SEG, NEG)) if number in denied else turn
            for number, turn in enumerate(dialogue.turns)
        ]
        kept = tuple(promise for promise in dialogue.promises if promise.turn not in denied)
        return replace(dialogue, turns=tuple(turns), promises=kept)

    def read(self, answer):
        if NEG not in answer:
            return super().read(answer)
        reading = None if SEG in answer else super().read(answer.replace(NEG, SEG))
        return reading and Reading(reading.text, tuple(NEG if token == SEG else token for token in reading.tokens))


def is_nothing(region: Region) -> bool:
    """Whether the region is that of a phrase with no object in the picture."""
    return isinstance(region.mask, Empty)


def size_in(sample: Sample) -> tuple[int, int]:
    """(H, W) of the sample's first picture, as annotated, or else as its file says."""
    picture = sample.media[0] if sample.media else None
    if not isinstance(picture, Picture):
        raise ValueError(f"{sample.id}: {sample.absent[0]!r} is absent from a picture, the sample has none")
    return picture.size or size_of(picture.path)
