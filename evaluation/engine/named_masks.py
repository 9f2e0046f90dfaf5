"""The masks of answers that name what they show: all answers about a picture become one label map.

A class is known by its name, whatever the order and number of the names; a name that is none of the picture's classes
shows nothing. A pixel belongs to the class that is surest of it, and to none where none is sure; so a class that is
there and not said is missed, and one that is said and not there is wrong wherever it is drawn.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, groupby, repeat

import numpy as np

from ullava.configs.tokens import SEG
from ullava.datasets.structures import Answer
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.engine.scoring import Pair, QuestionScorer, mask_of, promised
from ullava.evaluation.engine.sizes import resize, size_of
from ullava.evaluation.metrics.mask_iou import CUT
from ullava.tasks.base import Task


def pair_batch(
    scorer: QuestionScorer, questions: Sequence[Question], answers: Sequence[Answer]
) -> list[list[Pair] | None]:
    """Pairs the masks of each question as they are compared; None for a question that is scored by itself.

    The questions about one picture follow each other and are all in the batch (`rows.batches_of`).
    """
    if not scorer.task.by_name:
        return [None] * len(questions)
    batch_pairs: list[list[Pair] | None] = []
    for _, places in groupby(range(len(questions)), key=lambda place: questions[place].meant.sample.id):
        members = list(places)
        group, group_answers = [questions[place] for place in members], [answers[place] for place in members]
        batch_pairs += settled(scorer, pair_by_name(scorer.task, group, group_answers))
    return batch_pairs


def settled(scorer: QuestionScorer, pairs: Sequence[list[Pair]]) -> list[list[Pair]]:
    """Applies the protocol to the pairs of a picture; pairs that it adds go to the last question."""
    whole = scorer.settle(list(chain.from_iterable(pairs)))
    ends = list(accumulate(len(question_pairs) for question_pairs in pairs[:-1]))
    return [whole[first:last] for first, last in zip([0, *ends], [*ends, len(whole)], strict=True)]


def pair_by_name(task: Task, questions: Sequence[Question], answers: Sequence[Answer]) -> list[list[Pair]]:
    """Pairs masks by class name over all questions about one picture; returns the pairs by question.

    A class stands in the question that promises it, and one that is not there in the first that shows it.
    """
    sample = questions[0].meant.sample
    size = size_of(sample.media[0])
    known = frozenset(task.names(sample))
    drawn: dict[str, np.ndarray] = {}
    home: dict[str, int] = {}
    for number, answer in enumerate(answers):
        for name, mask in shown(task, questions[number], answer):
            if name in known and mask is not None:
                mask = fitted(mask, size, questions[number])
                drawn[name] = np.maximum(drawn[name], mask) if name in drawn else mask
                home.setdefault(name, number)
    owned = one_class_a_pixel(drawn, size)
    ignored = sample.ignored.draw() if sample.ignored else None
    question_pairs = []
    for question in questions:
        regions = promised(question.meant, SEG)
        question_pairs.append(
            [
                Pair(owned.get(region.category or ""), mask_of(region).draw(), region.category, ignored)
                for region in regions
            ]
        )
    there = {pair.category for pairs in question_pairs for pair in pairs}
    for name in (name for name in drawn if name not in there):
        question_pairs[home[name]].append(Pair(owned[name], np.zeros(size, bool), name, ignored))
    return question_pairs


def shown(task: Task, question: Question, answer: Answer) -> list[tuple[str, np.ndarray | None]]:
    """Returns the names that an answer shows, each with its mask; None for a mask that its heads did not draw."""
    heard = task.glean(answer.text, question.meant.sample)
    names = [name for name, token in zip(heard.names, heard.tokens, strict=True) if token == SEG] if heard else []
    masks = (*map(np.asarray, answer.predictions.get("mask", ())), *repeat(None, len(names)))
    return list(zip(names, masks, strict=False))


def fitted(mask: np.ndarray, size: tuple[int, int], question: Question) -> np.ndarray:
    """Resizes a mask of the picture that was shown to the size of the annotated one.

    Raises:
        ValueError: they are one picture, and still differ.
    """
    if mask.shape == size:
        return mask
    if not question.shuffled:
        raise ValueError(
            f"{question.meant.id}: expected a mask of size {size}, as the annotation's, found {mask.shape}; "
            "is it the annotation of another picture?"
        )
    return resize(mask, size)


def one_class_a_pixel(masks: Mapping[str, np.ndarray], size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Gives each pixel to the surest of the masks, (H, W) probabilities by name, if it is sure at all: (H, W) bool."""
    best, owner = np.full(size, CUT, np.float32), np.full(size, -1, np.int32)
    for number, mask in enumerate(masks.values()):
        surer = mask > best
        owner[surer], best[surer] = number, mask[surer]
    return {name: owner == number for number, name in enumerate(masks)}
