"""Writes one page about a run: its scores beside those of a guess, its answers beside the truth, its loss curves.

The page is one file that needs no network: pictures are data addresses, charts are SVG, its script is its own, and it
follows the reader's light or dark. `best_worst` chooses the answers in front; `all_answers` holds every one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ullava.configs.schema import LossConfig
from ullava.evaluation.engine.results import ResultRow, Results, read_results, said_how
from ullava.evaluation.report.all_answers import PICTURES, all_answers
from ullava.evaluation.report.best_worst import choose
from ullava.evaluation.report.box_source_comparison import verdict
from ullava.evaluation.report.charts import Bar, bars, curve
from ullava.evaluation.report.forgetting import Loss, cells, forgotten
from ullava.evaluation.report.main_scores import MainScore, is_asked, main_scores
from ullava.evaluation.report.pages import Table, render

TEMPLATE, SCRIPT = (Path(__file__).with_name(f"report.{kind}") for kind in ("html", "js"))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training, as the page shows it.

    Attributes:
        curves: a drawing for each term of its loss, and for the learning rates.
        learned: what learned; None where learn.json is missing.
    """

    name: str
    curves: tuple[Markup, ...]
    learned: Table | None


def write_report(
    output: Path,
    results: Path,
    predictions: Path,
    logs: Mapping[str, Path],
    own: Mapping[str, Any],
    *,
    commands: Sequence[str] = (),
    pictures: int = PICTURES,
    title: str = "u-LLaVA: what a run learned",
) -> Path:
    """Writes the page, and returns its path.

    Args:
        output: the .html file.
        results, predictions: of one batch evaluation.
        logs: stage name -> its folder, with log.jsonl and learn.json.
        own: the run's own catalogue entries, where the pictures are found again.
        commands: what was typed, in order.
        pictures: how many answers of each row come with their picture, the worst ones.
    """
    scored = read_results(results)
    losses, lines = forgotten(scored), list(main_scores(scored))
    page = render(
        TEMPLATE,
        title=title,
        summary=summary(scored),
        chart=Markup(bars([to_bar(line) for line in lines])) if lines else "",
        tenths=any(line.score == "CIDEr-D" for line in lines),
        forgotten=loss_table(losses) if losses else None,
        base=scored["run"].get("base"),
        rows=score_table(scored),
        chosen=[
            (task_and_dataset, list(answers))
            for task_and_dataset, answers in groupby(
                choose(predictions, own), key=lambda shown: (shown.line["task"], shown.line["dataset"])
            )
        ],
        answers=all_answers(predictions, own, pictures),
        pictured=pictures,
        stages=[read_stage(name, folder) for name, folder in logs.items()],
        commands=commands,
        script=Markup(SCRIPT.read_text(encoding="utf-8")),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    return output


def summary(results: Results) -> str:
    """One sentence: how many questions, of what, by which model."""
    asked = [row for row in results["rows"] if is_asked(row)]
    names = ", ".join(dict.fromkeys(row["dataset"] for row in asked))
    model = results["run"].get("model")
    count = sum(row["count"] for row in asked)
    asked_of = f", model {model}" if isinstance(model, str) else ""
    return f"{count} generated answers on {names}{asked_of}. {verdict(results)}".rstrip()


def score_table(results: Results) -> Table:
    """Every score of every row, controls too."""
    head = ("dataset", "task", "answers", "boxes", "count", "seconds", "scores")
    body = [
        (
            row["dataset"],
            f"{row['task']}, {row['model']}" if row.get("model") else row["task"],
            said_how(row),
            row.get("boxes") or "",
            row["count"],
            f"{row['seconds']:.1f}",
            all_scores(row),
        )
        for row in results["rows"]
    ]
    return Table(head, body, numbers=(4, 5))


def loss_table(losses: Sequence[Loss]) -> Table:
    """What each model lost of its base's scores."""
    head, *body = cells(losses)
    return Table(head, body, numbers=(4, 5, 6))


def to_bar(line: MainScore) -> Bar:
    """A main score on a scale from 0 to 1."""

    def share(value: float | None) -> float | None:
        return None if value is None else value / line.scale

    interval = (line.interval[0] / line.scale, line.interval[1] / line.scale) if line.interval else None
    name, label = f"{line.label}  {line.score}", f"{line.value:.2f}"
    return Bar(name, line.value / line.scale, label, interval, share(line.trivial), share(line.shuffled))


def all_scores(row: ResultRow) -> str:
    """Every score of a row as text."""
    return ", ".join(
        f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in row["metrics"].items()
    )


def read_stage(name: str, folder: Path) -> Stage:
    """One stage of a training, from its log.jsonl and learn.json."""
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    terms = [term for term in ("loss", *LossConfig().weights()) if any(term in line for line in lines)]
    curves = [curve(term, {term: values(lines, term)}) for term in terms]
    rates = sorted({key for line in lines for key in line if key.startswith("learning_rate/")})
    curves.append(curve("learning rate", {rate: values(lines, rate) for rate in rates}, smooth=False))
    learned = folder / "learn.json"
    parts = json.loads(learned.read_text(encoding="utf-8")) if learned.is_file() else None
    return Stage(name, tuple(map(Markup, curves)), part_table(parts) if parts is not None else None)


def part_table(parts: Sequence[Mapping[str, Any]]) -> Table:
    """What learned, at what peak rate, and what was frozen."""
    head = ("part", "peak rate", "numbers that learned", "frozen")
    body = [
        (
            part["part"],
            f"{part['rate']:g}" if part["learning"] else "frozen",
            f"{part['learning']:,}",
            f"{part['frozen']:,}",
        )
        for part in parts
    ]
    return Table(head, body, numbers=(1, 2, 3))


def values(lines: Iterable[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) of every log line that has `key`."""
    return [(line["step"], line[key]) for line in lines if line.get(key) is not None]
