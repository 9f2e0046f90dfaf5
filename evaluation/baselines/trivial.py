"""What is reached without looking: baselines that every score stands beside.

They answer the questions of a row and are scored by its metrics, as `answers: "given"` under the dataset's name with
`_trivial` behind it. The strongest one becomes a row of the results; all of them are kept under `run["trivial"]`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ullava.configs.registry import PLUGIN_HINT, nearest
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.evaluation.baselines.base import BASELINES, Baseline
from ullava.evaluation.engine.box_sources import BOX_SOURCES, BoxSource, source_of
from ullava.evaluation.engine.questions import open_questions, open_task
from ullava.evaluation.engine.results import ResultRow
from ullava.evaluation.engine.rows import PROTOCOL, score_all, summary
from ullava.evaluation.engine.scoring import QuestionScorer
from ullava.evaluation.metrics.base import METRICS, Metric

LEARNED_FROM = 4000  # samples of the training set, evenly spread: means do not move beyond


@dataclass(frozen=True)
class BlindBox(BoxSource):
    """The box of a baseline, for whichever token the row takes boxes from."""

    token: str

    def __call__(self, question, answer):
        return answer.predictions.get("box", ())


def baselines_of(task: str) -> list[type[Baseline]]:
    """The baselines that answer a task's questions, in the order of their registration.

    Raises:
        LookupError: there is none; lists the tasks that have one.
    """
    found = [baseline for baseline in BASELINES.values() if task in baseline.tasks]
    if not found:
        known = {name for baseline in BASELINES.values() for name in baseline.tasks}
        raise LookupError(f"task {task!r} has no trivial baseline; {nearest(task, known)}; {PLUGIN_HINT}")
    return found


def evaluate_trivial(
    row: EvaluationRow, generation: GenerationConfig, *, own: Mapping[str, Any]
) -> tuple[ResultRow, dict[str, Any]]:
    """Scores the baselines of a row's task, learned from the dataset that `row.trivial` names.

    Returns:
        The row of the strongest, and {"strongest": name, "by": score, "learned_from": dataset, "scores": by name}.

    Raises:
        LookupError: the task has no baseline.
    """
    rivals = baselines_of(row.task)
    plain = row.model_copy(update={"shuffled": False, "answers": "given", "protocol": PROTOCOL})
    task = open_task(plain)
    training = plain.model_copy(update={"dataset": row.trivial, "limit": LEARNED_FROM})
    lessons = open_questions(training, task, own, generation.seed)
    eval_dialogues = open_questions(plain, task, own, generation.seed)
    head = {"dataset": f"{row.dataset}_trivial", "task": row.task, "answers": "given"}
    source = BlindBox(BOX_SOURCES[source_of(row.boxes)[0]].token)
    rows = {}
    for baseline in (kind(plain, own, generation) for kind in rivals):
        if not baseline.suits():
            continue
        began = time.perf_counter()
        baseline.learn(lessons)
        metrics = readable(row.metrics or (), baseline) or readable(task.metrics, baseline)
        scored = score_all(
            eval_dialogues, baseline, QuestionScorer(task, metrics, source, head), given=True, progress=False
        )
        rows[baseline.name] = summary(scored, metrics, {**head, "protocol": PROTOCOL, "boxes": None}, began)
    if not rows:
        raise LookupError(f"{row.dataset}: no trivial baseline of task {row.task!r} suits it; leave `trivial` out")
    score = task.main_score or next(iter(next(iter(rows.values()))["metrics"]))
    strongest = max(rows, key=lambda name: rows[name]["metrics"].get(score, 0))
    scores = {name: scored["metrics"] for name, scored in rows.items()}
    return rows[strongest], {"strongest": strongest, "by": score, "learned_from": row.trivial, "scores": scores}


def readable(names: Sequence[str], baseline: Baseline) -> list[Metric]:
    """Those of the metrics that read what the baseline gives."""
    kinds = ("mask", "union", "names") if baseline.reads == "mask" else (baseline.reads,)
    return [metric for metric in (METRICS[name]() for name in names) if metric.reads in kinds]
