"""How the published programs score themselves, so that a number can be compared with theirs, like for like.

`ullava_trainer`, ours: one question a conversation, of generated answers or given ones, every promise scored, and
ignored pixels nowhere. The others differ from it in what they make easier or harder for themselves:

| protocol | answers | conversation | masks |
|---|---|---|---|
| ullava | given | all sentences about one thing, so that later ones see the former's | |
| lisa | given | one sentence; of reasoning segmentation the first text of a sample alone | |
| lasagna | given, but where one answer names all classes | semantic: all classes of a picture | each pixel has one class; ignored and unclaimed pixels belong to class 0; a name said means the class spelt most like it |

Sources: OPPOMKLab/u-LLaVA (dataset/datasets/res_dataset.py, evaluation/eval_ullava.py), dvlab-research/LISA
(utils/dataset.py, train_ds.py), congvvc/LaSagnA (test_sem.py).
"""  # noqa: E501, a table's line

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from ullava.configs.schema import EvaluationRow
from ullava.datasets.structures import Dialogue
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.metrics.mask_iou import CUT

SENTENCES = 10  # most of one conversation (u-LLaVA)


class Protocol:
    """Ours, which the others change."""

    def arrange(self, questions: Sequence[Question]) -> list[Question]:
        """The questions in the conversations in which they are asked."""
        return list(questions)

    def settle(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The masks of one conversation as they are compared."""
        return list(pairs)


class Ullava(Protocol):
    """Every sentence about a thing in one conversation."""

    def arrange(self, questions):
        arranged = []
        for _, group in groupby(questions, key=lambda question: (question.meant.sample.id, things(question.meant))):
            members = list(group)
            arranged += [join(members[i : i + SENTENCES]) for i in range(0, len(members), SENTENCES)]
        return arranged


@dataclass(frozen=True)
class Lisa(Protocol):
    """One sentence a conversation.

    Attributes:
        first_only: ask the first question of a sample alone.
    """

    first_only: bool

    def arrange(self, questions):
        if not self.first_only:
            return list(questions)
        return [next(group) for _, group in groupby(questions, key=lambda question: question.meant.sample.id)]


@dataclass(frozen=True)
class Lasagna(Protocol):
    """All classes of a picture in one conversation, and one class a pixel.

    Attributes:
        first: name of class 0, which gets whatever pixels nobody claims, in the truth too.
        joins: one question asks for one class; else one asks for all of them already.
    """

    first: str
    joins: bool = True

    def arrange(self, questions):
        if not self.joins:
            return list(questions)
        return [join(list(group)) for _, group in groupby(questions, key=lambda question: question.meant.sample.id)]

    def settle(self, pairs):
        if not pairs:
            return []
        size = pairs[0].truth.shape
        maps = np.stack([np.zeros(size) if pair.prediction is None else pair.prediction for pair in pairs])
        claimed, best = (maps > CUT).any(axis=0), maps.argmax(axis=0)
        void = np.zeros(size, bool) if pairs[0].ignored is None else pairs[0].ignored
        settled = [Pair(claimed & (best == place), pair.truth, pair.category) for place, pair in enumerate(pairs)]
        at = next((place for place, pair in enumerate(settled) if pair.category == self.first), None)
        if at is None:
            return [*settled, Pair(~claimed, void, self.first)]
        own = settled[at]
        settled[at] = own._replace(prediction=own.prediction | ~claimed, truth=own.truth | void)
        return settled


def open_protocol(row: EvaluationRow, names: Mapping[Any, str] | None) -> Protocol:
    """The protocol of a row; `names` are its dataset's classes by their ids, None where it knows none.

    Raises:
        ValueError: LaSagnA's way with classes, for a dataset whose classes have no ids.
    """
    if row.protocol == "ullava":
        return Ullava()
    if row.protocol == "lasagna" and row.task in ("semantic", "multi_target"):
        if not names:
            raise ValueError(
                f"protocol: {row.protocol!r} gives ignored pixels to class 0, but {row.dataset} does not number its "
                "classes; take one that a label_map reads"
            )
        first = names[min(names)]
        return Lasagna(first) if row.task == "semantic" else Lasagna(first.lower(), joins=False)
    return Lisa(row.task == "reasoning") if row.protocol in ("lisa", "lasagna") else Protocol()


def things(dialogue: Dialogue) -> tuple:
    """What a question is about; of one about nothing in particular its own name."""
    return tuple(promise.region for promise in dialogue.promises) or (dialogue.id,)


def join(questions: Sequence[Question]) -> Question:
    """Questions about one sample as one conversation, with the answers that are written."""
    if len(questions) == 1:
        return questions[0]
    meant = converse([question.meant for question in questions])
    return Question(meant, converse([question.asked for question in questions]) if questions[0].shuffled else meant)


def converse(dialogues: Sequence[Dialogue]) -> Dialogue:
    """Dialogues of one turn each about one sample, one after the other."""
    sample, last = dialogues[0].sample, dialogues[-1].id.rpartition("#")[2]
    promises: Iterable = (
        replace(promise, turn=turn) for turn, dialogue in enumerate(dialogues) for promise in dialogue.promises
    )
    turns = tuple(dialogue.turns[0] for dialogue in dialogues)
    return Dialogue(f"{dialogues[0].id}-{last}", sample, turns, tuple(promises))
