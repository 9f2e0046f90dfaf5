"""All classes of a list in one question: a mask for each that is there, a word for each that is not.

    Segment this image. wall, dog, sky.        wall[SEG]dog[NEG]sky[SEG]

LaSagnA (arXiv:2404.08506) trains on such questions with three strategies, each an option here, with the paper's setting
as its default: a random list of classes, the absent ones said too, and answers in the order of the question. Its
released code asks for all classes and answers about a sample of them in an order of its own
(`utils/sem_seg_dataset.py`); that is no setting of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from ullava.configs.registry import nearest
from ullava.configs.tokens import NEG, SEG
from ullava.datasets.catalogue import VOCABULARIES
from ullava.datasets.masks import Union
from ullava.datasets.structures import Dialogue, Promise, Region, Sample, Turn
from ullava.tasks.answers.grammar import plain
from ullava.tasks.answers.name_list import NAME_LISTS, NameList, glean
from ullava.tasks.answers.spelling import meant
from ullava.tasks.base import TASKS, Task, draw, pick
from ullava.tasks.phrases.lasagna import list_questions
from ullava.tasks.phrases.phrasebook import Questions, fill


@TASKS.register("multi_target")
@dataclass(frozen=True)
class MultiTargetSegmentation(Task):
    """Asks about many classes at once; [NEG] owns nothing.

    Attributes:
        phrases: name of a phrasebook of lists, or a .json list of questions.
        form: name of the form of its answers.
        num_classes: most classes that one training question lists; an evaluation lists all of them.
        subset: list at most so many, drawn anew for every question: all that are there, the others absent ones. Where
            that leaves no place for absent ones, half of the list is drawn from those that are there, a quarter from
            the others (LaSagnA's 40 and 20 of 80).
        positives: of such a list: all that are there, or whichever are drawn, as few as in an evaluation that splits
            its list (`exam_classes`); who is asked more often for what is there says more often that it is.
        negatives: answers go through the absent classes, too.
        order: of an answer: that of its question, or one of its own.
        classes: the only ones that are asked for, and what the annotation does not know of them is not there: names, or
            a text file of one a line (a bare name: in datasets/vocabularies/). Empty: the dataset's own.
        exam_classes: classes to a question of an evaluation; 0: all in one.
        spelling: likeness from which on a name that was said is taken for a class; see `spelling.meant`.
    """

    by_name = True
    heads = ("mask",)
    metrics = ("mean_iou", "presence")
    main_score = "mIoU"

    phrases: str = "lasagna"
    form: str = "joined"
    num_classes: int = 80
    subset: bool = True
    positives: Literal["all", "drawn"] = "all"
    negatives: bool = True
    order: Literal["follow", "shuffle"] = "follow"
    classes: str | tuple[str, ...] = ()
    exam_classes: int = 0
    spelling: float = 1.0

    def __post_init__(self):
        if self.form not in NAME_LISTS:
            raise LookupError(f"form: no form of a list {self.form!r}; {nearest(self.form, NAME_LISTS)}")
        if self.num_classes < 1 or self.exam_classes < 0:
            raise ValueError(
                f"num_classes, exam_classes: expected counts, found {self.num_classes} and {self.exam_classes}"
            )
        if self.vocabulary is not None and not self.vocabulary:
            raise ValueError(f"classes: {self.classes}: expected names, found none")
        list_questions(self.phrases)

    @cached_property
    def book(self) -> Questions:
        return list_questions(self.phrases)

    @cached_property
    def grammar(self) -> NameList:
        return NAME_LISTS[self.form]

    @cached_property
    def vocabulary(self) -> frozenset[str] | None:
        """The names in `classes`; None where it is empty."""
        if not self.classes:
            return None
        names = self.classes
        if isinstance(names, str):
            path = VOCABULARIES / names if (VOCABULARIES / names).is_file() else Path(names)
            if not path.is_file():
                raise FileNotFoundError(f"classes: {names}: no such file, and none of that name in {VOCABULARIES}")
            names = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip() not in ("", "-")]
        return frozenset(plain(name, "classes") for name in names)

    def dialogue(self, sample, rng):
        asked = self.listed(sample, rng)
        answered = asked if self.order == "follow" else draw(asked, len(asked), rng)
        return self.write(sample.id, sample, asked, answered, pick(self.book.drawn, rng))

    def eval_dialogues(self, sample):
        names = sorted(self.names(sample))
        step = self.exam_classes or max(len(names), 1)
        for number, first in enumerate(range(0, len(names), step)):
            asked = names[first : first + step]
            yield self.write(f"{sample.id}#{number}", sample, asked, asked, self.book.eval_question)

    def read(self, answer):
        return self.grammar.read(answer)

    def names(self, sample):
        return frozenset((*self.there(sample), *self.absent(sample)))

    def glean(self, answer, sample):
        heard = glean(answer)
        known = self.names(sample)
        names = tuple(meant(name.lower(), known, self.spelling) or name for name in heard.names)
        return replace(heard, names=names)

    def there(self, sample: Sample) -> dict[str, Region]:
        """The classes that are there and may be asked for, by name; parts of one class are one region.

        Raises:
            ValueError: a region has no class or no mask.
        """
        parts: dict[str, list[Region]] = {}
        for region in sample.regions:
            if not region.category or region.mask is None:
                raise ValueError(f"{sample.id}: task {self.name} needs the class and the mask of each region")
            name = plain(region.category, sample.id)
            if self.vocabulary is None or name in self.vocabulary:
                parts.setdefault(name, []).append(region)
        return {name: whole(name, regions) for name, regions in parts.items()}

    def absent(self, sample: Sample) -> list[str]:
        """The classes that may be asked for and are not there, in the order of the annotation."""
        there = self.there(sample)
        if self.vocabulary is not None:
            return sorted(self.vocabulary - there.keys())
        return [name for name in dict.fromkeys(plain(name, sample.id) for name in sample.absent) if name not in there]

    def listed(self, sample: Sample, rng: np.random.Generator) -> list[str]:
        """The classes that a training question lists, in random order."""
        there, absent = list(self.there(sample)), self.absent(sample)
        if self.subset and self.positives == "drawn":
            return draw([*there, *absent], self.num_classes, rng)
        if self.subset and len(there) < self.num_classes:
            absent = draw(absent, self.num_classes - len(there), rng)
        elif self.subset:
            there, absent = draw(there, max(self.num_classes // 2, 1), rng), draw(absent, self.num_classes // 4, rng)
        return draw([*there, *absent], len(there) + len(absent), rng)

    def write(self, id: str, sample: Sample, asked: Sequence[str], answered: Sequence[str], question: str) -> Dialogue:
        """Writes the turn about the classes `asked`, its answer in the order of `answered`."""
        there = self.there(sample)
        if not asked:
            raise ValueError(f"{id}: task {self.name} asks by class names, found neither regions nor absent names")
        verdicts = [(name, SEG if name in there else NEG) for name in answered if name in there or self.negatives]
        turn = Turn(fill(question, ", ".join(asked)), self.grammar.write(verdicts))
        promises = tuple(Promise(SEG, there[name], 0) for name, token in verdicts if token == SEG)
        return Dialogue(id, sample, (turn,), promises)


def whole(name: str, regions: Sequence[Region]) -> Region:
    """One region of everything that is of a class."""
    masks = tuple(region.mask for region in regions if region.mask is not None)  # `there` has refused one without
    return Region(category=name, mask=masks[0] if len(masks) == 1 else Union(masks), picture=regions[0].picture)
