"""The engine: asks a model every question of every row, and writes what came of it.

Works with whatever answers dialogues: a model, its trainer at an epoch's end, or a baseline that never looks.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ullava.configs.messages import located
from ullava.configs.schema import EvaluationRow
from ullava.datasets.catalogue import open_dataset
from ullava.evaluation.baselines.trivial import evaluate_trivial
from ullava.evaluation.engine import ranks
from ullava.evaluation.engine.answer_cache import AnswerCache
from ullava.evaluation.engine.predictions import replacing
from ullava.evaluation.engine.progress import EvaluationProgress
from ullava.evaluation.engine.protocols import open_protocol
from ullava.evaluation.engine.questions import class_names, open_task
from ullava.evaluation.engine.results import Results, write_results
from ullava.evaluation.engine.rows import Answerer, evaluate_row, open_boxes, open_metrics
from ullava.evaluation.engine.soft_masks import FOLDER, replacing_folder
from ullava.evaluation.report.results_page import write_page


def open_rows(rows: Sequence[EvaluationRow], own: Mapping[str, Any]) -> None:
    """Opens every row, so that a misspelt one ends the run before an hour's work and not after it.

    Raises:
        LookupError, ValueError, FileNotFoundError: a name, an option or a path that is not there; says the row.
    """
    for number, row in enumerate(rows):
        with located(f"evaluate[{number}]"):
            task = open_task(row)
            open_boxes(row, task, open_metrics(task, row))
            for dataset in filter(None, (row.dataset, row.trivial)):
                open_dataset(dataset, row.task, own)
            open_protocol(row, class_names(row, own))


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
        saved = EvaluationProgress(output, identity) if keep and identity else None
        writes = keep and ranks.place()[0] == 0
        file = stack.enter_context(replacing(output / "predictions.jsonl")) if writes else None
        soft = stack.enter_context(replacing_folder(output / FOLDER)) if writes else None
        for number, row in enumerate(rows):
            asked.begin(number)
            with located(f"evaluate[{number}]"):
                result, scored = evaluate_row(row, asked, own=own, keep_lines=keep, saved=saved, progress=progress)
            if classes := result.pop("classes", None):
                name = f"{result['dataset']}/{row.task}/{row.answers}"
                results["run"].setdefault("classes", {})[name] = classes
            results["rows"].append(result)
            for question in scored if file else ():
                if question.soft:
                    question.line["predicted"]["soft"] = soft.write(f"{number:02d}_{question.place:06d}", question.soft)
                file.write(json.dumps(question.line, ensure_ascii=False) + "\n")
            if row.trivial:
                strongest, all_of_them = evaluate_trivial(row, answerer.generation, own=own)
                results["rows"].append(strongest)
                results["run"].setdefault("trivial", {})[f"{row.dataset}/{row.task}"] = all_of_them
        if writes:
            write_results(results, output / "results.json")
            write_page(results, output / "results.md")
    if saved:
        saved.close(done=ranks.place()[0] == 0)
    return results
