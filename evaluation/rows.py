"""One row of an evaluation: its questions are asked in batches, marked, and summed up.

Several ranks share the questions, none is asked twice; marks come in the order of the questions, however they were
batched.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.structures import Answer, Dialogue, Video
from ullava.evaluation import ranks
from ullava.evaluation.box_sources import open_source
from ullava.evaluation.form import Form
from ullava.evaluation.marking import Mark, Marker
from ullava.evaluation.metrics.base import METRICS, Metric
from ullava.evaluation.metrics.bootstrap import interval
from ullava.evaluation.questions import Question, open_questions, open_task
from ullava.evaluation.results import Row
from ullava.tasks.base import Task

PROTOCOL = "ullava"  # one question a conversation; see NAMES


class Answerer(Protocol):
    """Answers a batch of dialogues of one turn each.

    Attributes:
        generation: how it answers, and how many at once.
    """

    generation: GenerationConfig

    def __call__(self, dialogues: Sequence[Dialogue], *, given: bool) -> list[Answer]:
        """One answer per dialogue: its own, or with `given` what its heads make of the answer that is written there."""


def evaluate_row(
    row: EvaluationRow, answerer: Answerer, *, own: Mapping[str, Any], keep_lines: bool = False, progress: bool = True
) -> tuple[Row, list[Mark]]:
    """Evaluates one row; returns its results and its marked questions, in order."""
    began = time.perf_counter()
    task = open_task(row)
    metrics = open_metrics(task, row)
    source = open_source(row.boxes)
    dataset = f"{row.dataset}_shuffled" if row.shuffled else row.dataset
    head = {"dataset": dataset, "task": row.task, "answers": row.answers}
    questions = open_questions(row, task, own, answerer.generation.seed)
    marker = Marker(task, metrics, source, head, keep_lines)
    marks = mark_all(questions, answerer, marker, given=row.answers == "given", progress=progress)
    boxes = source.name if any(metric.reads == "box" for metric in metrics) else None
    return summary(marks, metrics, {**head, "protocol": PROTOCOL, "boxes": boxes}, began), marks


def open_metrics(task: Task, row: EvaluationRow) -> list[Metric]:
    """The task's metrics, that of boxes where the row names their source, and the form of the answers."""
    metrics = [METRICS[name]() for name in task.metrics]
    if row.boxes and all(metric.reads != "box" for metric in metrics):
        metrics.append(METRICS["box_accuracy"]())
    return [*metrics, Form()]


def mark_all(
    questions: Sequence[Question], answerer: Answerer, marker: Marker, *, given: bool, progress: bool = True
) -> list[Mark]:
    """Asks this rank's share of the questions in batches, and returns the marks of all ranks in the order asked for."""
    rank, world = ranks.place()
    mine = in_order_of_length(questions, range(rank, len(questions), world))
    size = answerer.generation.batch_size
    batches = [mine[i : i + size] for i in range(0, len(mine), size)]
    name = f"{marker.head['dataset']} {marker.head['task']}"
    marks = []
    for batch in tqdm(batches, desc=name, unit="batch", disable=rank > 0 or not progress, leave=False):
        answers = answerer([questions[place].asked for place in batch], given=given)
        for place, answer in zip(batch, answers, strict=True):
            marks.append(marker(place, questions[place], answer))
    return sorted(ranks.gather(marks), key=lambda mark: mark.place)


def in_order_of_length(questions: Sequence[Question], places: Iterable[int]) -> list[int]:
    """`places`, longest rows first, so that a batch pads little and memory runs out at once if at all.

    Questions about one picture stay together: a model then encodes it once for all of them.
    """
    groups: dict[tuple, list[int]] = {}
    for place in places:
        groups.setdefault(questions[place].asked.sample.media, []).append(place)

    def length(place: int) -> int:
        return len(questions[place].asked.turns[-1].question)

    def weight(item: tuple[tuple, list[int]]) -> tuple[int, int, int]:
        media, members = item
        return sum(isinstance(medium, Video) for medium in media), len(media), max(map(length, members))

    return [place for _, members in sorted(groups.items(), key=weight, reverse=True) for place in members]


def summary(marks: Sequence[Mark], metrics: Sequence[Metric], head: Mapping[str, Any], began: float) -> Row:
    """A row of results.json; one whose metrics know classes has their scores under "classes"."""
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    classes: dict[str, dict[str, float]] = {}
    for metric in metrics:
        records = [record for mark in marks for record in mark.records[metric.name]]
        pictures = [mark.picture for mark in marks for _ in mark.records[metric.name]]
        scores |= metric.score(records)
        intervals |= {name: list(ends) for name, ends in interval(records, pictures, metric.score).items()}
        classes |= metric.by_class(records)
    seconds = round(time.perf_counter() - began, 2)
    row = {**head, "metrics": scores, "interval": intervals, "count": len(marks), "seconds": seconds}
    return row | ({"classes": classes} if classes else {})
