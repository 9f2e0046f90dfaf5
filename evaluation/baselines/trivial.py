"""Opens and scores the baselines that a row reports beside its model's scores.

They answer the questions of a row and are scored by its metrics, as `answers: "given"` under the dataset's name with
`_trivial` behind it. The strongest one becomes a row of the results; all of them are kept under `run["trivial"]`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ullava.configs.messages import located
from ullava.configs.registry import PLUGIN_HINT, nearest
from ullava.configs.schema import GenerationConfig
from ullava.evaluation.baselines.base import BASELINES, Baseline
from ullava.evaluation.engine.box_sources import BOX_SOURCES, BoxSource, source_of
from ullava.evaluation.engine.opening import OpenedRow, open_row
from ullava.evaluation.engine.results import ResultRow
from ullava.evaluation.engine.rows import PROTOCOL, score_all, summary
from ullava.evaluation.engine.scoring import QuestionScorer
from ullava.evaluation.metrics.base import METRICS, Metric
from ullava.tasks.base import Task

LEARNED_FROM = 4000  # samples of the training set, evenly spread: means do not move beyond


@dataclass(frozen=True)
class BlindBox(BoxSource):
    """The box of a baseline, for whichever token the row takes boxes from."""

    token: str

    def __call__(self, question, answer):
        return answer.predictions.get("box", ())


def baselines_of(task: Task) -> list[type[Baseline]]:
    """The baselines that answer a task's questions, in the order of their registration: masks where it says masks.

    Raises:
        LookupError: there is none; lists the tasks that have one.
    """
    kinds = [kind for kind in BASELINES.values() if task.name in kind.tasks]
    if not kinds:
        known = {name for kind in BASELINES.values() for name in kind.tasks}
        raise LookupError(f"task {task.name!r} has no trivial baseline; {nearest(task.name, known)}; {PLUGIN_HINT}")
    unsaid = "box" if "mask" in task.heads else "mask"
    suitable = [kind for kind in kinds if kind.reads != unsaid]
    if not suitable:
        raise LookupError(f"the baselines of task {task.name!r} give masks, which its answers lack; set `says`")
    return suitable


@dataclass(frozen=True)
class Trivial:
    """The baselines of a row, and what they are asked.

    Attributes:
        opened: the row as they are asked: its own questions, not shuffled, of given answers, by our protocol.
        lessons: the questions of the dataset that they learn from.
        score: name of the one that ranks them; "": the first that they have.
        baselines: each with the metrics that it is held against.
    """

    opened: OpenedRow
    lessons: OpenedRow
    score: str
    baselines: tuple[tuple[Baseline, tuple[Metric, ...]], ...]


def open_trivial(
    opened: OpenedRow, generation: GenerationConfig, own: Mapping[str, Any], *, asks: bool = True
) -> Trivial:
    """Opens the baselines of a row that names a dataset under `trivial`.

    Args:
        opened: the row itself.
        generation: batch size and seed of the baselines.
        own: the run's own catalogue entries.
        asks: see `open_row`.

    Raises:
        LookupError: the task has no baseline, or there is no such dataset.
        ValueError, FileNotFoundError: as `open_row` about the dataset; or its questions teach a baseline nothing, or no
            score of the row is one that a baseline could have.
    """
    row, task = opened.row, opened.task
    with located("trivial"):
        kinds = baselines_of(task)
        score = "acc@0.5" if all(kind.reads == "box" for kind in kinds) else task.main_score
        plain = row.model_copy(update={"shuffled": False, "answers": "given", "protocol": PROTOCOL})
        same = row.protocol == PROTOCOL and not row.shuffled
        asked = replace(opened, row=plain) if same else open_row(plain, own, seed=generation.seed, asks=asks)
        training = plain.model_copy(update={"dataset": row.trivial, "limit": LEARNED_FROM})
        lessons = open_row(training, own, seed=generation.seed, asks=asks)
        held = tuple(
            (kind(plain, own, generation), readable(row.metrics or (), kind) or readable(task.metrics, kind))
            for kind in kinds
        )
        if not any(metrics for _, metrics in held):
            names = ", ".join(row.metrics or task.metrics) or "none"
            raise ValueError(
                f"the baselines of task {row.task!r} give a {kinds[0].reads}, which none of the row's metrics reads "
                f"({names}); take `trivial` out, or a metric in"
            )
        for baseline, _ in held:
            baseline.prove(lessons.questions)
    return Trivial(asked, lessons, score, held)


def evaluate_trivial(trivial: Trivial) -> tuple[ResultRow, dict[str, Any]]:
    """Lets the baselines learn, and scores them.

    Returns:
        The row of the strongest, and {"strongest": name, "by": score, "learned_from": dataset, "scores": by name}.
    """
    opened = trivial.opened
    row, questions, lessons = opened.row, opened.all_questions(), trivial.lessons.all_questions()
    head = {"dataset": f"{row.dataset}_trivial", "task": row.task, "answers": "given"}
    source = BlindBox(BOX_SOURCES[source_of(row.boxes)[0]].token)
    rows: dict[str, ResultRow] = {}
    for baseline, metrics in trivial.baselines:
        if not baseline.suits(questions):
            continue
        began = time.perf_counter()
        baseline.learn(lessons)
        scorer = QuestionScorer(opened.task, metrics, source, head)
        scored = score_all(questions, baseline, scorer, given=True, progress=False)
        rows[baseline.name] = summary(scored, metrics, {**head, "protocol": PROTOCOL, "boxes": None}, began)
    if not rows:
        raise LookupError(f"{row.dataset}: no trivial baseline of task {row.task!r} suits it; leave `trivial` out")
    score = trivial.score or next(iter(next(iter(rows.values()))["metrics"]))
    strongest = max(rows, key=lambda name: rows[name]["metrics"].get(score, 0))
    scores = {name: scored["metrics"] for name, scored in rows.items()}
    learned_from = trivial.lessons.row.dataset
    return rows[strongest], {
        "strongest": strongest, "by": score, "learned_from": learned_from, "scores": scores,
    }  # fmt: skip


def readable(names: Sequence[str], baseline: type[Baseline]) -> tuple[Metric, ...]:
    """Returns the metrics that read what the baseline gives."""
    kinds = ("mask", "union", "names") if baseline.reads == "mask" else (baseline.reads,)
    return tuple(metric for metric in (METRICS[name]() for name in names) if metric.reads in kinds)
