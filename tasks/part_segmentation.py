"""Segmentation of parts of objects: the handle of the mug, by its name or by what it is for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from ullava.configs.registry import nearest
from ullava.configs.tokens import LOC, SEG
from ullava.datasets.boxes import around
from ullava.datasets.formats import part_names
from ullava.datasets.masks import Union
from ullava.datasets.structures import Region
from ullava.tasks.base import TASKS, draw, pick
from ullava.tasks.phrases.part import DEED, OPERATE, deed
from ullava.tasks.phrases.phrasebook import Questions, fill
from ullava.tasks.regions import RegionTask


@TASKS.register("part")
@dataclass(frozen=True)
class PartSegmentation(RegionTask):
    """Asks for every part of every object; what is no part is passed over.

    In training half of the names read "handle of the mug", half "mug handle" (LISA, utils/sem_seg_dataset.py). Parts of
    one name are one mask: LISA asks the same question about each of them, and expects another answer every time.
    A part without a mask is asked for all the same, for heads that learn from its words (`Promise.words`).

    Attributes:
        operate: share of training questions that say what the part is for instead of its name.
        exam: what is asked in evaluation, "name" or "use".
    """

    scores: ClassVar[dict[str, tuple[str, ...]]] = {SEG: ("mask_iou",), LOC: ("box_accuracy",)}

    operate: float = 0.25
    exam: str = "name"

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.operate <= 1:
            raise ValueError(f"operate: expected a share between 0 and 1, found {self.operate}")
        if self.exam not in ("name", "use"):
            raise LookupError(f"exam: no way of asking {self.exam!r}; {nearest(self.exam, ('name', 'use'))}")

    def asked(self, sample):
        parts: dict[tuple[tuple[str, str], int], list[Region]] = {}
        for region in sample.regions:
            if named := part_names.split(region.category or ""):
                parts.setdefault((named, region.picture), []).append(region)
        if not parts:
            categories = ", ".join(str(region.category) for region in sample.regions) or "no regions"
            raise ValueError(
                f"{sample.id}: task {self.name} asks for parts, as 'handle of the mug' or 'mug:handle'; "
                f"found {categories}"
            )
        return [(part_names.join(*named), united(regions, named)) for (named, _), regions in parts.items()]

    def questions(self, region):
        return self.book.segment if self.exam == "name" else operating(region)

    def dialogue(self, sample, rng):
        asked = draw(self.asked(sample), self.rounds, rng)
        turns = [self.ask(name, region, rng) for name, region in asked]
        return self.write(sample.id, sample, asked, turns, rng)

    def ask(self, name: str, region: Region, rng: np.random.Generator) -> str:
        """A question for training."""
        if rng.random() < self.operate:
            return pick(operating(region).drawn, rng)
        part, whole = named(name)
        return fill(pick(self.book.segment.drawn, rng), pick((name, f"{whole} {part}"), rng))

    def keeps(self, region, token):
        return token == SEG or super().keeps(region, token)

    def words(self, region, token):
        part, whole = named(region.category)
        return (part_names.join(part, whole), part, whole) if token == SEG else ()


def named(category: str | None) -> tuple[str, str]:
    """The part and the object in the category of a region that `asked` has chosen."""
    names = part_names.split(category or "")
    assert names is not None, f"{category!r} names no part"
    return names


def operating(region: Region) -> Questions:
    """Returns the questions that ask for a part by its function."""
    part, whole = named(region.category)
    questions = (*OPERATE.templates, OPERATE.eval_question)
    *templates, eval_question = (fill(question, whole).replace(DEED, deed(part)) for question in questions)
    return replace(OPERATE, templates=tuple(templates), eval_question=eval_question)


def united(regions: Sequence[Region], named: tuple[str, str]) -> Region:
    """All parts of one name as one, with masks and a box where each has them."""
    masks, boxes = ([getattr(region, what) for region in regions] for what in ("mask", "box"))
    return replace(
        regions[0],
        category=part_names.join(*named),
        mask=None if None in masks else masks[0] if len(masks) == 1 else Union(tuple(masks)),
        box=None if None in boxes else around(boxes),
    )
