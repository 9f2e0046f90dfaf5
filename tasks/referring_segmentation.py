"""Referring expression segmentation (RES): the mask, and the box, of the one thing that a phrase describes."""

from dataclasses import dataclass

from ullava.configs.tokens import LOC, SEG
from ullava.tasks.base import TASKS
from ullava.tasks.regions import RegionTask


@TASKS.register("res")
@dataclass(frozen=True)
class ReferringSegmentation(RegionTask):
    """Asks by the regions' phrases, each in a turn of its own."""

    scores = {SEG: ("mask_iou",), LOC: ("box_accuracy",)}

    def asked(self, sample):
        asked = [(phrase, region) for region in sample.regions for phrase in region.phrases]
        if not asked:
            raise ValueError(
                f"{sample.id}: task {self.name} asks by phrases, found none on {len(sample.regions)} regions"
            )
        return asked

    def questions(self, region):
        return self.book.segment
