"""Salient object segmentation: the mask of what stands out, and why where the annotation says so."""

from dataclasses import dataclass

from ullava.configs.tokens import LOC, SEG
from ullava.tasks.base import TASKS
from ullava.tasks.regions import RegionTask


@TASKS.register("salient")
@dataclass(frozen=True)
class SalientSegmentation(RegionTask):
    """Asks for the sample's one region, in one turn and without naming it."""

    slotted = False
    explains = True
    scores = {SEG: ("mask_iou", "saliency"), LOC: ()}
    main_score = "gIoU"

    def asked(self, sample):
        if len(sample.regions) != 1:
            raise ValueError(f"{sample.id}: task {self.name} expects one region, found {len(sample.regions)}")
        return [(phrase, region) for region in sample.regions for phrase in (region.phrases[:1] or ("",))]

    def questions(self, region):
        return self.book.explain if region.reason else self.book.salient
