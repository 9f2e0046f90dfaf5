"""Referring expression comprehension (REC): the box of the one thing that a phrase describes."""

from dataclasses import dataclass

from ullava.configs.tokens import LOC
from ullava.tasks.base import TASKS
from ullava.tasks.referring_segmentation import ReferringSegmentation


@TASKS.register("rec")
@dataclass(frozen=True)
class ReferringComprehension(ReferringSegmentation):
    """Asks as RES does, for boxes only."""

    scores = {LOC: ("box_accuracy",)}
    main_score = "acc@0.5"

    says: tuple[str, ...] = ("LOC",)

    def questions(self, region):
        return self.book.locate
