"""Writes one page about a run: its scores beside those of a guess, its answers beside the truth, its loss curves.

The page is one file that needs no network: pictures are data addresses, charts are SVG, its script is its own, and it
follows the reader's light or dark. `best_worst` chooses the answers in front; `all_answers` holds every one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from ullava.configs.schema import LossConfig
from ullava.evaluation.engine.results import ResultRow, Results, read_results, said_how
from ullava.evaluation.report.all_answers import PICTURES, all_answers, as_script
from ullava.evaluation.report.best_worst import ShownAnswer, choose, texts
from ullava.evaluation.report.box_source_comparison import verdict
from ullava.evaluation.report.charts import Bar, bars, curve
from ullava.evaluation.report.forgetting import cells, forgotten
from ullava.evaluation.report.main_scores import MainScore, is_asked, main_scores
from ullava.evaluation.report.pages import fill, table

TEMPLATE, SCRIPT = (Path(__file__).with_name(f"report.{kind}") for kind in ("html", "js"))


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
    page = fill(
        TEMPLATE,
        title,
        summary=escape(summary(scored)),
        scores=write_scores(scored),
        pictures=write_pictures(choose(predictions, own)),
        training="\n".join(write_stage(stage, folder) for stage, folder in logs.items()) or "<p>No logs.</p>",
        answers=as_script(all_answers(predictions, own, pictures)),
        pictured=pictures,
        script=SCRIPT.read_text(encoding="utf-8"),
        commands=f"<pre>{escape(chr(10).join(commands)) or 'none recorded'}</pre>",
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
    said = f"{count} generated answers on {names}" + (f", model {model}." if isinstance(model, str) else ".")
    return f"{said} {verdict(results)}".rstrip()


def write_scores(results: Results) -> str:
    """The chart of headline scores, and the table of all."""
    lines = [to_bar(line) for line in main_scores(results)]
    parts = [bars(lines).replace("<svg", '<svg class="bars"', 1)] if lines else []
    if any(line.name.endswith("CIDEr-D") for line in lines):
        parts.append('<p class="soft">CIDEr-D runs from 0 to 10: its bar shows a tenth of it.</p>')
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
    parts += [*write_forgotten(results), "<h3>All rows</h3>", table(head, body, numbers=(4, 5))]
    return "\n".join(parts)


def write_forgotten(results: Results) -> list[str]:
    """What each model lost of its base's scores, where the results hold several models'."""
    losses = forgotten(results)
    if not losses:
        return []
    head, *body = cells(losses)
    said = f"The questions of {results['run']['base']}, asked again of the models that learned on from it."
    return [f'<h3>What was forgotten</h3>\n<p class="soft">{escape(said)}</p>', table(head, body, numbers=(4, 5, 6))]


def to_bar(line: MainScore) -> Bar:
    """A headline on a scale from 0 to 1."""

    def share(value: float | None) -> float | None:
        return None if value is None else value / line.scale

    interval = tuple(map(share, line.interval)) if line.interval else None
    name, label = f"{line.label}  {line.score}", f"{line.value:.2f}"
    return Bar(name, share(line.value), label, interval, share(line.trivial), share(line.shuffled))


def all_scores(row: ResultRow) -> str:
    """Every score of a row as text."""
    return ", ".join(
        f"{name} {'-' if value is None else format(value, '.3f')}" for name, value in row["metrics"].items()
    )


def write_pictures(best_worst: Sequence[ShownAnswer]) -> str:
    """Best, median and worst answer of every task."""
    parts = [
        "<p>Of each task the best, the median and the worst answer by one number: the IoU of its masks or else its "
        "boxes, or the share of words it has in common with the nearest reference. Nobody picked by hand.</p>"
    ]
    for (task, dataset), group in groupby(best_worst, key=lambda shown: (shown.line["task"], shown.line["dataset"])):
        figures = "\n".join(write_figure(shown) for shown in group)
        heading = f'<h3>{escape(task)} <span class="soft">{escape(dataset)}</span></h3>'
        parts += [heading, f'<div class="shown">{figures}</div>']
    return "\n".join(parts)


def write_figure(shown: ShownAnswer) -> str:
    """One question, its answer, and the pictures."""
    line = shown.line
    question = line["question"]
    panels = [(shown.truth, "truth" if shown.predicted else "asked about"), (shown.predicted, "predicted")]
    pair = "".join(
        f'<div><img src="{uri}" alt="{escape(f"{name}: {question}")}" loading="lazy"><span>{name}</span></div>'
        for uri, name in panels
        if uri
    )
    said = {"question": question, "answer": line["answer"], "truth": " / ".join(texts(line["truth"]["text"]))}
    words = "".join(f"<dt>{key}</dt><dd>{escape(text)}</dd>" for key, text in said.items() if text)
    kind = f'<span class="kind">{shown.kind} &middot; {shown.quality:.2f}</span>'
    label = f'<span class="soft">{escape(line["id"])}</span>'
    return f'<figure><div class="pair">{pair}</div><figcaption>{kind}{label}<dl>{words}</dl></figcaption></figure>'


def write_stage(stage: str, folder: Path) -> str:
    """One stage: what learned, and a curve per term of its loss."""
    lines = [json.loads(text) for text in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    terms = [term for term in ("loss", *LossConfig().weights()) if any(term in line for line in lines)]
    charts = [curve(term, {term: values(lines, term)}) for term in terms]
    rates = sorted({key for line in lines for key in line if key.startswith("learning_rate/")})
    charts.append(curve("learning rate", {rate: values(lines, rate) for rate in rates}, smooth=False))
    parts = [f"<h3>{escape(stage)}</h3>", f'<div class="curves">{"".join(charts)}</div>']
    if (folder / "learn.json").is_file():
        parts.append(write_learned(json.loads((folder / "learn.json").read_text(encoding="utf-8"))))
    return "\n".join(parts)


def write_learned(parts: Sequence[Mapping[str, Any]]) -> str:
    """The table of what learned, at what peak rate, and what was frozen."""
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
    return table(head, body, numbers=(1, 2, 3))


def values(lines: Iterable[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) of every log line that has `key`."""
    return [(line["step"], line[key]) for line in lines if line.get(key) is not None]
