"""The questions of one row of an evaluation, always the same ones in the same order.

A control row (`shuffled: true`) asks each question of another sample's picture: what a model then still scores, it
scores without looking.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

from ullava.configs.schema import EvaluationRow
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import Reader
from ullava.datasets.structures import Dialogue, Region, Sample
from ullava.tasks.base import TASKS, Task


@dataclass(frozen=True, slots=True)
class Question:
    """One question of an evaluation.

    Attributes:
        meant: as the task wrote it, with the truth.
        asked: what the model gets; of a shuffled row the same words under another picture, without the truth.
    """

    meant: Dialogue
    asked: Dialogue

    @property
    def shuffled(self) -> bool:
        """Whether it is asked of another picture than it is about."""
        return self.asked is not self.meant


def open_task(row: EvaluationRow) -> Task:
    """The task of a row, with its options.

    Raises:
        LookupError: unknown task.
        ValueError: an option that the task does not have.
    """
    return TASKS.build(row.task, row.options)


def open_reader(row: EvaluationRow, own: Mapping[str, Any]) -> Reader:
    """The dataset of a row.

    Args:
        own: the run's own catalogue entries.

    Raises:
        LookupError, ValueError, FileNotFoundError: see `open_dataset`; ValueError also where it holds no record.
    """
    reader = open_dataset(row.dataset, row.task, dict(own))
    if not len(reader):
        raise ValueError(f"{row.dataset} has no records")
    return reader


def open_questions(row: EvaluationRow, task: Task, reader: Reader, seed: int) -> Iterator[Question]:
    """Yields every question of a row's samples, in order.

    Args:
        seed: of the draws that exchange the pictures of a shuffled row.

    Raises:
        ValueError: there is not a single question.
    """
    places = spread(len(reader), row.limit)
    samples = [reader[i] for i in places] if row.shuffled else (reader[i] for i in places)
    others = shuffle(samples, seed) if isinstance(samples, list) else repeat(None, len(places))
    asked = False
    for sample, media in zip(samples, others, strict=True):
        for question in write_questions(task, sample, media):
            yield question
            asked = True
    if not asked:
        raise ValueError(f"{row.dataset}: none of its {len(places)} samples holds a question for task {row.task!r}")


def write_questions(task: Task, sample: Sample, media: tuple | None) -> Iterator[Question]:
    """Yields the task's evaluation dialogues of a sample, asked of its own media or of the others given."""
    for meant in task.eval_dialogues(sample):
        yield Question(meant, meant if media is None else blind(meant, media))


def blind(meant: Dialogue, media: tuple) -> Dialogue:
    """Replaces the media of a dialogue; promises lose their regions, which would not fit the new media."""
    promises = tuple(replace(promise, region=Region()) for promise in meant.promises)
    return replace(meant, sample=replace(meant.sample, media=media), promises=promises)


def spread(count: int, limit: int | None) -> list[int]:
    """At most `limit` of `count` places, evenly apart, the first among them."""
    kept = count if limit is None else min(count, limit)
    return [i * count // kept for i in range(kept)]


def shuffle(samples: Sequence[Sample], seed: int) -> list[tuple]:
    """For each sample the media of another one: none keeps its own, and equal media always become equal others.

    Media are exchanged among those of one kind (as many pictures, a video); text-only samples stay as they are.

    Raises:
        ValueError: a kind of media occurs once, so that there is no other to take.
    """
    kinds: dict[tuple[type, ...], list[tuple]] = {}
    for media in dict.fromkeys(sample.media for sample in samples):
        kinds.setdefault(tuple(type(medium) for medium in media), []).append(media)
    becomes = {}
    rng = np.random.default_rng(seed)
    for kind, members in kinds.items():
        if kind and len(members) < 2:
            raise ValueError(
                f"{samples[0].id}: a shuffled row needs two different pictures (or videos), found one; "
                "raise its limit or drop it"
            )
        ring = [members[i] for i in rng.permutation(len(members))]
        becomes |= dict(zip(ring, ring[1:] + ring[:1], strict=True))
    return [becomes[sample.media] for sample in samples]
