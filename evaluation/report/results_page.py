"""results.md: a run's scores in the tables that papers print, beside the published figures of the same splits.

Published figures are quoted as printed (`published.yaml`), and their line says so. Protocols differ: u-LLaVA, LISA and
LaSagnA scored given answers. None is confirmed by a run of ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from ullava.evaluation.engine.predictions import replacing
from ullava.evaluation.engine.results import ResultRow, Results
from ullava.evaluation.report.main_scores import SHUFFLED, TRIVIAL

PUBLISHED = Path(__file__).with_name("published.yaml")
SCORES = {  # task -> what its papers print; of another task its first score
    "res": ("cIoU", "gIoU", "P@0.5", "N-acc", "T-acc"),
    "rec": ("acc@0.5",),
    "salient": ("cIoU", "MAE", "maxF", "S"),
    "reasoning": ("gIoU", "cIoU"),
    "keyword": ("gIoU", "cIoU", "keyword_acc"),
    "part": ("gIoU", "cIoU"),
    "semantic": ("mIoU", "pixel_acc"),
    "multi_target": ("mIoU", "presence_F1"),
    "captioning": ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D"),
    "video_captioning": ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D"),
    "vqa": ("accuracy", "presence_F1", "yes"),
}
FRACTIONS = ("MAE", "maxF", "meanF", "adpF", "maxE", "meanE", "adpE", "S", "wF")  # printed as .123, others in percent


@dataclass(frozen=True, slots=True)
class Published:
    """One line of a paper's table: percent by dataset, None where it has none."""

    model: str
    source: str
    values: Mapping[str, float | None]


def write_page(results: Results, path: Path) -> None:
    """Writes results.md."""
    with replacing(path) as file:
        file.write(page(results))


def page(results: Results) -> str:
    """The tables as Markdown."""
    model = results["run"].get("model")
    parts = ["# Results", f"Model: `{model}`." if isinstance(model, str) else "", *paper_tables(results["rows"])]
    parts += ["## Every score", "Fractions of 1; CIDEr-D runs to 10. Intervals: 95 %, by drawing pictures again."]
    parts.append(every_score(results["rows"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def paper_tables(rows: Sequence[ResultRow]) -> Iterator[str]:
    """A table for each task and each score that its papers print."""
    asked = [row for row in rows if not row["dataset"].endswith((TRIVIAL, SHUFFLED))]
    for task in dict.fromkeys(row["task"] for row in asked):
        ours = [row for row in asked if row["task"] == task]
        known = {name: None for row in ours for name in row["metrics"]}
        for score in SCORES.get(task, tuple(known)[:1]):
            if score in known:
                yield paper_table(task, score, [row for row in ours if score in row["metrics"]])


def paper_table(task: str, score: str, rows: Sequence[ResultRow]) -> str:
    """Our rows, one line for each way of answering, above the published ones of any of their datasets."""
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    ways: dict[str, dict[str, str]] = {}
    for row in rows:
        cell = shown(row["metrics"][score], row["interval"].get(score), score)
        ways.setdefault(way_of(row), {})[row["dataset"]] = cell
    lines = [[name, *(cells.get(dataset, "-") for dataset in datasets)] for name, cells in ways.items()]
    for paper in published(task, score):
        figures = [paper.values.get(dataset) for dataset in datasets]
        if any(figure is not None for figure in figures):
            name = f"{paper.model} (published: {paper.source})"
            lines.append([name, *("-" if figure is None else f"{figure:.2f}" for figure in figures)])
    unit = "fraction" if score in FRACTIONS else "percent"
    return f"## {task}: {score}, {unit}\n\n" + markdown(["", *datasets], lines)


def way_of(row: ResultRow) -> str:
    """How a row's answers came about."""
    boxes = f", boxes by {row['boxes']}" if row.get("boxes") else ""
    return f"**this run** ({row['answers']} answers, protocol {row.get('protocol')}{boxes})"


def shown(value: float | None, interval: Sequence[float | None] | None, score: str) -> str:
    """A score as papers print it, and its interval."""
    if value is None or value != value:
        return "-"
    scale, digits = (1, 3) if score in FRACTIONS else (100, 2)
    ends = [end for end in interval or () if end is not None and end == end]
    spread = " ({})".format(" .. ".join(f"{end * scale:.{digits}f}" for end in ends)) if len(ends) == 2 else ""
    return f"{value * scale:.{digits}f}{spread}"


def every_score(rows: Sequence[ResultRow]) -> str:
    """All scores of all rows, controls among them."""
    head = ["dataset", "task", "answers", "protocol", "boxes", "count", "score", "value", "95 %"]
    lines = []
    for row in rows:
        for name, value in row["metrics"].items():
            ends = [end for end in row["interval"].get(name) or () if end is not None and end == end]
            lines.append(
                [
                    *(str(row.get(key) or "-") for key in head[:5]),
                    str(row["count"]),
                    name,
                    "-" if value is None or value != value else f"{value:.4f}",
                    " .. ".join(f"{end:.4f}" for end in ends),
                ]
            )
    return markdown(head, lines)


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table; a bar within a cell stays a bar."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


@cache
def published(task: str, score: str) -> tuple[Published, ...]:
    """What papers print for a task and a score."""
    papers: list[Published] = []
    for table in yaml.safe_load(PUBLISHED.read_text(encoding="utf-8")):
        if (table["task"], table["score"]) == (task, score):
            papers += [
                Published(model, source, dict(zip(table["datasets"], values, strict=True)))
                for model, source, values in table["rows"]
            ]
    return tuple(papers)
