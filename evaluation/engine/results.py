"""results.json: a row per line of the evaluation, its scores with 95 % intervals, and the run they belong to."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ullava.configs.registry import nearest
from ullava.evaluation.engine.predictions import replacing
from ullava.tasks.base import main_score

PRINTED = (
    "gIoU", "cIoU", "N-acc", "T-acc", "acc@0.5", "mIoU", "presence_F1", "MAE", "maxF", "accuracy", "BLEU-4", "CIDEr-D",
    "keyword_acc", "emission", "unparseable",
)  # fmt: skip
ResultRow = dict[str, Any]
Results = dict[str, Any]  # {"rows": [...], "run": {...}}


def write_results(results: Results, path: Path) -> None:
    """Writes results.json; a score that does not exist (NaN) becomes null."""
    with replacing(path) as file:
        json.dump(without_nan(results), file, indent=2, ensure_ascii=False)
        file.write("\n")


def read_results(path: str | Path) -> Results:
    """Inverse of `write_results`; null stays None."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def without_nan(value: Any) -> Any:
    """Copies a tree with None in place of NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def named_score(results: Results, name: str) -> float:
    """The score called "dataset/task/score" (a run's `best:`); of generated answers where given ones were scored too.

    Raises:
        LookupError: no such row or score; lists those there are.
    """
    scores = {
        f"{row['dataset']}/{row['task']}/{key}": score
        for row in sorted(results["rows"], key=lambda row: row["answers"] == "generated")
        for key, score in row["metrics"].items()
    }
    if name not in scores:
        raise LookupError(f"no score {name!r}; {nearest(name, scores)}")
    return scores[name]


def table(results: Results) -> str:
    """The rows as plain text, one line each; the best known scores only."""
    cells = [("dataset", "task", "answers", "count", "seconds", "scores")]
    cells += [
        (row["dataset"], row["task"], said_how(row), str(row["count"]), f"{row['seconds']:.1f}", scores_of(row))
        for row in results["rows"]
    ]
    return "\n".join(aligned(cells))


def said_how(row: ResultRow) -> str:
    """Whether answers were generated or given, and by whose protocol where it is not ours."""
    protocol = row.get("protocol") or "ullava_trainer"
    return row["answers"] if protocol == "ullava_trainer" else f"{row['answers']}, as {protocol}"


def scores_of(row: ResultRow) -> str:
    """The best known scores of a row, each with half the width of its interval."""
    words = []
    for name, score in row["metrics"].items():
        if name not in PRINTED and name != main_score(row["task"]):
            continue
        low, high = row["interval"].get(name) or (math.nan, math.nan)
        spread = "" if math.isnan(high - low) else f"±{(high - low) / 2:.3f}"
        words.append(f"{name} {score:.3f}{spread}")
    return "  ".join(words)


def all_scores(results: Results) -> str:
    """Every score of every row, a line each, with its interval."""
    cells = [("dataset", "task", "count", "score", "", "95 %")]
    for row in results["rows"]:
        for name, score in row["metrics"].items():
            low, high = row["interval"].get(name) or (math.nan, math.nan)
            ends = "" if math.isnan(high - low) else f"{low:.4f} .. {high:.4f}"
            cells.append((row["dataset"], row["task"], str(row["count"]), name, f"{score:.6f}", ends))
    return "\n".join(aligned(cells))


def aligned(cells: Sequence[Sequence[str]]) -> Iterable[str]:
    """Pads each column of cells to its widest cell, and returns the lines."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
