"""The engine: asks a model every question of every row, and writes what came of it.

Works with whatever answers dialogues: a model, its trainer at an epoch's end, or a baseline that never looks.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullava.configs.messages import located
from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.evaluation.baselines.trivial import Trivial, evaluate_trivial, open_trivial
from ullava.evaluation.engine import ranks
from ullava.evaluation.engine.answer_cache import AnswerCache
from ullava.evaluation.engine.generation_options import generation_faults
from ullava.evaluation.engine.opening import Fit, OpenedRow, open_row
from ullava.evaluation.engine.predictions import replacing
from ullava.evaluation.engine.progress import EvaluationProgress
from ullava.evaluation.engine.results import Results, write_results
from ullava.evaluation.engine.rows import Answerer, evaluate_row
from ullava.evaluation.engine.soft_masks import FOLDER, replacing_folder
from ullava.evaluation.report.results_page import write_page


@dataclass(frozen=True)
class OpenedEvaluation:
    """A row of an evaluation, and the baselines that it is scored beside; None where it names no `trivial`."""

    row: OpenedRow
    trivial: Trivial | None

    def score_names(self) -> set[str]:
        """What `best:` may name of it: "dataset/task/score"."""
        head = self.row.head
        names = {f"{head['dataset']}/{head['task']}/{score}" for score in self.row.score_names()}
        if self.trivial:
            metrics = [metric for _, held in self.trivial.baselines for metric in held]
            scores = {score for metric in metrics for score in metric.score([])}
            names |= {f"{self.row.row.dataset}_trivial/{head['task']}/{score}" for score in scores}
        return names


def open_evaluation(
    row: EvaluationRow,
    own: Mapping[str, Any],
    generation: GenerationConfig,
    heads: Collection[str] | None = None,
    fit: Fit | None = None,
    *,
    asks: bool = True,
) -> OpenedEvaluation:
    """Opens whatever a row names: the one way for `check`, training and evaluation. What opens is asked to its end.

    Args:
        own: the run's own catalogue entries.
        generation: how the answers will be generated.
        heads: names of the model's heads; None: not known.
        fit: refuses a given answer that is too long for the model; None: lengths are not looked at.
        asks: see `open_row`.

    Raises:
        LookupError, ValueError, FileNotFoundError: see `open_row` and `open_trivial`.
    """
    opened = open_row(row, own, seed=generation.seed, heads=heads, fit=fit, asks=asks)
    return OpenedEvaluation(opened, open_trivial(opened, generation, own, asks=asks) if row.trivial else None)


def open_rows(
    rows: Sequence[EvaluationRow],
    own: Mapping[str, Any],
    generation: GenerationConfig,
    heads: Collection[str] | None = None,
    fit: Fit | None = None,
) -> set[str]:
    """Opens every row before the first step, so that a misspelt one ends the run in seconds and not after an hour.

    Weights that only a row needs, such as a detector's, are loaded, too.

    Returns:
        Names of all scores that the rows will give, as `best:` writes them.

    Raises:
        LookupError, ValueError, FileNotFoundError: a name, an option or a path that is not there; says the row.
    """
    faults = list(generation_faults(generation))
    if faults:
        raise ValueError("\n".join(faults))
    names: set[str] = set()
    for number, row in enumerate(rows):
        with located(f"evaluate[{number}]"):
            opened = open_evaluation(row, own, generation, heads, fit)
            opened.row.source.load()
            names |= opened.score_names()
    return names


def evaluate(
    rows: Sequence[EvaluationRow],
    answerer: Answerer,
    *,
    own: Mapping[str, Any],
    output: Path | None = None,
    run: Mapping[str, Any],
    identity: str | None = None,
    progress: bool = True,
) -> Results:
    """Evaluates row by row, and returns what results.json holds; every rank returns the same.

    Args:
        own: the run's own catalogue entries.
        output: folder where results.json, results.md, predictions.jsonl appear when all rows are done; None: no files.
        run: what the results belong to (model, config); kept beside the rows.
        identity: what the model is known by (`progress.identify`): an evaluation of it that was stopped goes on where
            it was, with the same results; None: it does not.
    """
    results: Results = {"rows": [], "run": dict(run)}
    asked = AnswerCache(answerer, rows)
    with ExitStack() as stack:
        keep = output is not None
        saved = EvaluationProgress(output, identity) if output is not None and identity else None
        writer = output if ranks.place()[0] == 0 else None
        file = stack.enter_context(replacing(writer / "predictions.jsonl")) if writer else None
        soft = stack.enter_context(replacing_folder(writer / FOLDER)) if writer else None
        for number, row in enumerate(rows):
            asked.begin(number)
            with located(f"evaluate[{number}]"):
                opened = open_evaluation(row, own, answerer.generation)
                result, scored = evaluate_row(opened.row, asked, keep_lines=keep, saved=saved, progress=progress)
            if classes := result.pop("classes", None):
                name = f"{result['dataset']}/{row.task}/{row.answers}"
                results["run"].setdefault("classes", {})[name] = classes
            results["rows"].append(result)
            for question in scored if file and soft else ():
                assert file and soft and question.line is not None  # `keep_lines` is on
                if question.soft:
                    question.line["predicted"]["soft"] = soft.write(f"{number:02d}_{question.place:06d}", question.soft)
                file.write(json.dumps(question.line, ensure_ascii=False) + "\n")
            if opened.trivial:
                strongest, comparison = evaluate_trivial(opened.trivial)
                results["rows"].append(strongest)
                results["run"].setdefault("trivial", {})[f"{row.dataset}/{row.task}"] = comparison
        if writer:
            write_results(results, writer / "results.json")
            write_page(results, writer / "results.md")
    if saved:
        saved.close(done=ranks.place()[0] == 0)
    return results
