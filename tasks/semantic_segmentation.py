"""Semantic segmentation: the mask of everything that belongs to a class, one class a turn."""

from dataclasses import dataclass

from ullava.configs.tokens import LOC, SEG
from ullava.tasks.base import TASKS
from ullava.tasks.regions import RegionTask


@TASKS.register("semantic")
@dataclass(frozen=True)
class SemanticSegmentation(RegionTask):
    """Asks by the names of the classes that are present."""

    scores = {SEG: ("mean_iou",), LOC: ()}
    main_score = "mIoU"

    def asked(self, sample):
        if not sample.regions or not all(region.category for region in sample.regions):
            categories = [region.category for region in sample.regions]
            raise ValueError(f"{sample.id}: task {self.name} asks by class names, found {categories or 'no regions'}")
        return [(region.category, region) for region in sample.regions]

    def questions(self, region):
        return self.book.segment
