"""One row of an evaluation: its questions are asked in batches, scored, and summed up.

Several ranks share the batches, none is asked twice; scored come in the order of the questions. A batch is the same on
any number of ranks, and so is what comes of it.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from tqdm import tqdm

from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Answer, Dialogue, Video
from ullava.evaluation.engine import ranks
from ullava.evaluation.engine.named_masks import pair_batch
from ullava.evaluation.engine.opening import OpenedRow
from ullava.evaluation.engine.progress import EvaluationProgress, RowProgress
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.engine.results import ResultRow
from ullava.evaluation.engine.scoring import QuestionScorer, ScoredQuestion
from ullava.evaluation.metrics.base import Metric
from ullava.evaluation.metrics.bootstrap import interval

PROTOCOL = "ullava_trainer"  # ours: one question a conversation, every promise scored; `protocols` has the others
TELLS = 20  # times that the progress bar says how the score runs


class Answerer(Protocol):
    """Answers a batch of dialogues of one turn each.

    Attributes:
        generation: how it answers, and how many at once.
    """

    generation: GenerationConfig

    def __call__(self, dialogues: Sequence[Dialogue], *, given: bool) -> list[Answer]:
        """One answer per dialogue: its own, or with `given` what its heads make of the answer that is written there."""
        ...


def evaluate_row(
    opened: OpenedRow,
    answerer: Answerer,
    *,
    keep_lines: bool = False,
    saved: EvaluationProgress | None = None,
    progress: bool = True,
) -> tuple[ResultRow, list[ScoredQuestion]]:
    """Evaluates one row; returns its results, with its classes, and its scored questions, in order.

    Args:
        keep_lines: whether scored questions carry their line of predictions.jsonl.
        saved: what earlier processes have done of this evaluation, and where this one notes what it does.
    """
    began = time.perf_counter()
    row, metrics, source = opened.row, opened.metrics, opened.source
    questions = opened.all_questions()
    scorer = QuestionScorer(opened.task, metrics, source, opened.head, keep_lines, opened.protocol.settle)
    row_progress = saved.row_progress(row, answerer.generation, questions) if saved else RowProgress()
    scored = score_all(
        questions, answerer, scorer, given=row.answers == "given", row_progress=row_progress, progress=progress
    )
    boxes = source.name if opened.scores_boxes else None
    return summary(scored, metrics, {**opened.head, "boxes": boxes}, began) | classes_of(scored, metrics), scored


def score_all(
    questions: Sequence[Question],
    answerer: Answerer,
    scorer: QuestionScorer,
    *,
    given: bool,
    row_progress: RowProgress | None = None,
    progress: bool = True,
) -> list[ScoredQuestion]:
    """Asks this rank's share of the batches; returns the scored questions of all ranks in the order of the questions.

    Args:
        row_progress: the batches that an earlier process has done, which are not asked again; takes those done here.
    """
    rank, world = ranks.place()
    row_progress = row_progress or RowProgress()
    order, size = in_order_of_length(questions), answerer.generation.batch_size
    batches = batches_of(questions, order, size, whole=scorer.task.by_name)
    mine = range(rank, len(batches), world)
    scored = [question for number in mine for question in row_progress.scored.get(number, ())]
    new = [number for number in mine if number not in row_progress.scored]
    name = f"{scorer.head['dataset']} {scorer.head['task']}"
    bar = tqdm(new, desc=name, initial=len(mine) - len(new), total=len(mine), unit="batch",
               disable=rank > 0 or not progress, leave=False)  # fmt: skip
    for done, number in enumerate(bar):
        asked = [questions[place] for place in batches[number]]
        answers = [
            answer
            for first in range(0, len(asked), size)
            for answer in answerer([question.asked for question in asked[first : first + size]], given=given)
        ]
        masks = pair_batch(scorer, asked, answers)
        row_progress.write(number, scored_batch := list(map(scorer, batches[number], asked, answers, masks)))
        scored += scored_batch
        if not bar.disable and done % -(-len(mine) // TELLS) == 0:
            bar.set_postfix_str(running_score(scored, scorer.metrics), refresh=False)
    return sorted(ranks.gather(scored), key=lambda question: question.place)


def running_score(scored: Sequence[ScoredQuestion], metrics: Sequence[Metric]) -> str:
    """The first score of the questions scored so far, and how many answers keep their form."""
    words = []
    for metric in dict.fromkeys((metrics[0], metrics[-1])):
        records = [record for question in scored for record in question.records[metric.name]]
        name, score = next(iter(metric.score(records).items()))
        words.append(f"{name} {score:.3f}")
    return ", ".join(words)


def in_order_of_length(questions: Sequence[Question]) -> list[int]:
    """Sorts the places of questions, longest rows first: batches pad little, and a lack of memory shows at once.

    Questions about one picture stay together: a model then encodes it once for all of them.
    """
    groups: dict[tuple, list[int]] = {}
    for place, question in enumerate(questions):
        groups.setdefault(question.asked.sample.media, []).append(place)

    def length(place: int) -> int:
        return len(questions[place].asked.turns[-1].question)

    def weight(item: tuple[tuple, list[int]]) -> tuple[int, int, int]:
        media, members = item
        return sum(isinstance(medium, Video) for medium in media), len(media), max(map(length, members))

    return [place for _, members in sorted(groups.items(), key=weight, reverse=True) for place in members]


def batches_of(questions: Sequence[Question], order: Sequence[int], size: int, *, whole: bool) -> list[list[int]]:
    """Cuts the order into batches of `size` questions.

    Args:
        whole: keep the questions about one sample together, for their answers make one label map; a sample with more
            questions than `size` is a batch by itself.
    """
    if not whole:
        return [list(order[i : i + size]) for i in range(0, len(order), size)]
    batches: list[list[int]] = [[]]
    for _, places in groupby(order, key=lambda place: questions[place].meant.sample.id):
        members = list(places)
        if len(batches[-1]) + len(members) > size and batches[-1]:
            batches.append([])
        batches[-1] += members
    return batches


def summary(
    scored: Sequence[ScoredQuestion], metrics: Sequence[Metric], head: Mapping[str, Any], began: float
) -> ResultRow:
    """A row of results.json."""
    scores: dict[str, float] = {}
    intervals: dict[str, list[float]] = {}
    for metric in metrics:
        records = [record for question in scored for record in question.records[metric.name]]
        pictures = [question.picture for question in scored for _ in question.records[metric.name]]
        scores |= metric.score(records)
        intervals |= {name: list(ends) for name, ends in interval(records, pictures, metric.score).items()}
    seconds = round(time.perf_counter() - began, 2)
    return {**head, "metrics": scores, "interval": intervals, "count": len(scored), "seconds": seconds}


def classes_of(scored: Sequence[ScoredQuestion], metrics: Sequence[Metric]) -> dict[str, dict[str, dict[str, float]]]:
    """{"classes": scores by the name of a class}; nothing where no metric knows classes."""
    classes: dict[str, dict[str, float]] = {}
    for metric in metrics:
        classes |= metric.by_class([record for question in scored for record in question.records[metric.name]])
    return {"classes": classes} if classes else {}
