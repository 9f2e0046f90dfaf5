"""Which way to a box is best, and by how much: rows that differ in nothing but their source, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass

from ullava.evaluation.engine.results import ResultRow, Results, aligned
from ullava.evaluation.report.main_scores import is_asked

SCORES = ("acc@0.5", "acc@0.75", "acc@0.9", "mean_box_iou")  # the first one decides


@dataclass(frozen=True, slots=True)
class BoxSourceComparison:
    """Rows of one dataset and task, one for each source of boxes, best first."""

    dataset: str
    task: str
    rows: tuple[ResultRow, ...]


def comparisons(results: Results) -> Iterator[BoxSourceComparison]:
    """Yields what can be compared: at least two sources, of generated answers to the same questions."""
    groups: dict[tuple[str, str, int], dict[str, ResultRow]] = {}
    for row in results["rows"]:
        if is_asked(row) and row.get("boxes") and row["metrics"].get(SCORES[0]) is not None:
            groups.setdefault((row["dataset"], row["task"], row["count"]), {})[row["boxes"]] = row
    for (dataset, task, _), rows in groups.items():
        if len(rows) > 1:
            yield BoxSourceComparison(
                dataset, task, tuple(sorted(rows.values(), key=lambda row: -row["metrics"][SCORES[0]]))
            )


def verdict(results: Results) -> str:
    """A sentence for each comparison; "" where nothing can be compared."""
    sentences = []
    for comparison in comparisons(results):
        best, *others = comparison.rows
        top, first = best["metrics"][SCORES[0]], SCORES[0]
        low, high = best["interval"].get(first, (None, None))
        within = f" (95 %: {low:.3f} to {high:.3f})" if low is not None and high is not None else ""
        behind = ", ".join(
            f"{top - row['metrics'][first]:.3f} over {row['boxes']} ({row['metrics'][first]:.3f})" for row in others
        )
        sentences.append(
            f"Of the ways to a box on {comparison.dataset} {comparison.task}, {best['boxes']} is best by {first}: "
            f"{top:.3f}{within}, {behind}."
        )
    return " ".join(sentences)


def comparison_table(results: Results) -> str:
    """All of it as plain text."""
    cells: list[tuple[str, ...]] = [("dataset", "task", "boxes", *SCORES)]
    for comparison in comparisons(results):
        for row in comparison.rows:
            scores = (row["metrics"].get(name) for name in SCORES)
            words = ("-" if score is None else f"{score:.3f}" for score in scores)
            cells.append((comparison.dataset, comparison.task, str(row["boxes"]), *words))
    return "\n".join(aligned(cells))
