"""Several runs on the same questions, in one table: what each scores, and how surely it differs from the first.

Differences are paired: in every resample all runs are scored on the same pictures, so what makes a picture hard for all
of them cancels out (Efron and Tibshirani, An Introduction to the Bootstrap, 1993). Only questions that all runs
answered are compared.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ullava.evaluation.engine.results import aligned
from ullava.evaluation.metrics.base import Metric, Record
from ullava.evaluation.metrics.bootstrap import draw, ends
from ullava.evaluation.score.kinds import Suite
from ullava.evaluation.score.predictions import ROW, Predictions, key

Key = tuple[str, str, str, str | None, str | None]  # dataset, task, answers, protocol, source of boxes


@dataclass(frozen=True, slots=True)
class Comparison:
    """One score of one row in all runs.

    Attributes:
        values: by run, in their order; `intervals` of them likewise.
        differences: of each run to the first one, with its interval: (value, low, high); NaN for the first.
    """

    row: Key
    score: str
    count: int
    values: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    differences: tuple[tuple[float, float, float], ...]


def compare(runs: Sequence[Path]) -> list[Comparison]:
    """Compares every score that all runs have, row by row in the first run's order.

    Args:
        runs: folders with predictions.jsonl, or such files.

    Raises:
        FileNotFoundError: a run without predictions.jsonl.
        ValueError: no row is in all runs, or two runs answered not one question in common.
    """
    opened = [open_run(run) for run in runs]
    shared = [row for row in opened[0][1] if all(row in suites for _, suites in opened)]
    if not shared:
        listed = "; ".join(
            f"{run}: {', '.join('/'.join(row[:3]) for row in rows)}"
            for run, (_, rows) in zip(runs, opened, strict=True)
        )
        raise ValueError(f"ullava compare: no row is in all runs; there are: {listed}")
    return [
        comparison
        for row in shared
        for comparison in compare_row(row, [(kind, suites[row]) for kind, suites in opened])
    ]


def open_run(run: Path) -> tuple[Predictions, dict[Key, Suite]]:
    """Opens a run: the reader of its lines, and its rows by their keys; of rows with one key the first."""
    path = run / "predictions.jsonl" if run.is_dir() else run
    kind = Predictions(argparse.Namespace(pred=path, gt=None))
    suites: dict[Key, Suite] = {}
    for suite in kind.suites():
        suites.setdefault(key(suite.cases[0].truth), suite)
    return kind, suites


def compare_row(row: Key, runs: Sequence[tuple[Predictions, Suite]]) -> list[Comparison]:
    """Compares every score of one row."""
    answered = [{case.id: case for case in suite.cases} for _, suite in runs]
    common = [name for name in answered[0] if all(name in cases for cases in answered)]
    if not common:
        raise ValueError(f"ullava compare: {'/'.join(map(str, row[:3]))}: the runs share no question")
    names = [{metric.name for metric in suite.metrics} for _, suite in runs]
    metrics = [metric for metric in runs[0][1].metrics if all(metric.name in known for known in names)]
    records = [
        [kind.records(cases[name], metrics) for name in common] for (kind, _), cases in zip(runs, answered, strict=True)
    ]
    pictures = [answered[0][name].picture for name in common]
    compare_scores = partial(compare_metric, row=row, pictures=pictures)
    return [
        comparison
        for metric in metrics
        for comparison in compare_scores(metric, [[r[metric.name] for r in run] for run in records])
    ]


def compare_metric(
    metric: Metric, records: Sequence[Sequence[tuple[Record, ...]]], *, row: Key, pictures: Sequence[str]
) -> list[Comparison]:
    """Compares every score of one metric.

    Args:
        records: by run and question.
        pictures: of each question.
    """
    flat = [[record for question in run for record in question] for run in records]
    drawn_from = [[p for p, question in zip(pictures, run, strict=True) for _ in question] for run in records]
    if not all(flat):
        return []
    scores = [metric.score(run) for run in flat]
    draws = [draw(run, names, metric.score) for run, names in zip(flat, drawn_from, strict=True)]
    return [
        Comparison(
            row,
            name,
            len(pictures),
            tuple(score[name] for score in scores),
            tuple(ends(drawn[name]) for drawn in draws),
            tuple(
                (score[name] - scores[0][name], *ends(drawn[name] - draws[0][name]))
                for score, drawn in zip(scores, draws, strict=True)
            ),
        )
        for name in scores[0]
    ]


def table(comparisons: Sequence[Comparison], runs: Sequence[str]) -> str:
    """Writes a line per score: the first run's value, then each other run's and its difference, * if significant.

    Args:
        runs: their names.
    """
    head = [*ROW, "count", "score", "(1)"]
    for number in range(2, len(runs) + 1):
        head += [f"({number})", f"({number}) - (1)", "95 %"]
    cells = [head]
    for comparison in comparisons:
        line = [
            *(str(part or "-") for part in comparison.row),
            str(comparison.count),
            comparison.score,
            f"{comparison.values[0]:.4f}",
        ]
        for value, (difference, low, high) in zip(comparison.values[1:], comparison.differences[1:], strict=True):
            mark = "*" if low > 0 or high < 0 else ""
            line += [f"{value:.4f}", f"{difference:+.4f}{mark}", f"{low:+.4f} .. {high:+.4f}"]
        cells.append(line)
    legend = [f"({number}) {run}" for number, run in enumerate(runs, 1)]
    return "\n".join([*legend, "* the interval of the paired difference leaves out 0", "", *aligned(cells)])


def to_json(comparisons: Sequence[Comparison], runs: Sequence[Path]) -> dict[str, Any]:
    """Returns the comparisons as a tree of plain JSON values."""

    def numbers(pairs: Sequence[tuple[float, ...]]) -> list[list[float | None]]:
        return [[None if math.isnan(number) else float(number) for number in pair] for pair in pairs]

    rows: list[Mapping[str, Any]] = [
        {
            **dict(zip(ROW, comparison.row, strict=True)),
            "score": comparison.score,
            "count": comparison.count,
            "values": numbers([comparison.values])[0],
            "interval": numbers(comparison.intervals),
            "difference": numbers([tuple(difference[0] for difference in comparison.differences)])[0],
            "difference_interval": numbers([difference[1:] for difference in comparison.differences]),
        }
        for comparison in comparisons
    ]
    return {"rows": rows, "runs": [str(run) for run in runs]}
