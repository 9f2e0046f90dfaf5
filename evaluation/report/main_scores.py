"""The score that stands for a task, beside what a guess and a look at another picture score."""

from collections.abc import Iterator
from dataclasses import dataclass

from ullava.evaluation.engine.results import ResultRow, Results
from ullava.evaluation.metrics.base import METRICS
from ullava.tasks.base import main_score

TRIVIAL, SHUFFLED = "_trivial", "_shuffled"  # ends of the dataset names of control rows, NAMES


@dataclass(frozen=True, slots=True)
class MainScore:
    """One line of a summary.

    Attributes:
        interval: (low, high) of a bootstrap; None where there is none.
        trivial, shuffled: the same score of the strongest baseline that never looks, and of the model itself asked
            about other pictures; None where they were not measured.
        scale: where the score's scale ends.
        model: whose it is, where the results hold several models'.
    """

    dataset: str
    task: str
    score: str
    value: float
    interval: tuple[float, float] | None
    trivial: float | None
    shuffled: float | None
    scale: float
    model: str = ""

    @property
    def label(self) -> str:
        """What it is called in a list."""
        return f"{self.task}, {self.model}" if self.model else self.task


def main_scores(results: Results) -> Iterator[MainScore]:
    """Yields the main score of each row of generated answers, controls aside, in the order of the rows."""
    rows = {(row["dataset"], row["task"], row["answers"]): row for row in results["rows"]}
    for row in results["rows"]:
        if not is_asked(row):
            continue
        name = main_score(row["task"]) or next(iter(row["metrics"]))
        value = row["metrics"].get(name)
        if value is None:
            continue
        low, high = row["interval"].get(name) or (None, None)
        trivial = rows.get((row["dataset"] + TRIVIAL, row["task"], "given"))
        shuffled = rows.get((row["dataset"] + SHUFFLED, row["task"], "generated"))
        interval = None if low is None or high is None else (low, high)
        yield MainScore(
            row["dataset"],
            row["task"],
            name,
            value,
            interval,
            trivial["metrics"].get(name) if trivial else None,
            shuffled["metrics"].get(name) if shuffled else None,
            scale_of(name),
            row.get("model", ""),
        )


def scale_of(score: str) -> float:
    """Where the scale of a score ends: 1, or what the metric that gives it says."""
    return next((metric.scales[score] for metric in METRICS.values() if score in metric.scales), 1.0)


def is_asked(row: ResultRow) -> bool:
    """Whether a row (or a line of predictions.jsonl) is of generated answers, and no control."""
    return row["answers"] == "generated" and not row["dataset"].endswith((TRIVIAL, SHUFFLED))


def summary_table(results: Results) -> str:
    """The main scores as plain text."""

    def words(number: float | None) -> str:
        return "-" if number is None else f"{number:.3f}"

    cells: list[tuple[str, ...]] = [("dataset", "task", "score", "", "95 %", "trivial", "shuffled")]
    for line in main_scores(results):
        ends = "-" if line.interval is None else "..".join(f"{end:.2f}" for end in line.interval)
        cells.append(
            (line.dataset, line.label, line.score, words(line.value), ends, *map(words, (line.trivial, line.shuffled)))
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells)
