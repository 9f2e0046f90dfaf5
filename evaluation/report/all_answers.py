"""Every answer of an evaluation, for the page's script: what was asked, said and true, how good it is, what is wrong.

The pictures of the worst ones of each row come along, drawn small; of the others the page shows the words.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ullava.evaluation.engine.predictions import Line, read_predictions
from ullava.evaluation.report.answer_defects import answer_defects
from ullava.evaluation.report.best_worst import draw, find_samples, quality, texts
from ullava.evaluation.report.main_scores import SHUFFLED, TRIVIAL

PICTURES = 40  # answers of each row that are shown with their picture
SMALL = 280  # pixels of its longer side


def all_answers(predictions: Path, own: Mapping[str, Any], pictures: int = PICTURES) -> list[dict[str, Any]]:
    """One entry per line of predictions.jsonl, controls aside, worst first.

    Args:
        own: the run's own catalogue entries, where the pictures are found again.
        pictures: how many answers of each row come with their picture, the worst ones.
    """
    lines = [line for line in read_predictions(predictions) if not line["dataset"].endswith((TRIVIAL, SHUFFLED))]
    entries = sorted(zip(map(quality, lines), lines, strict=True), key=lambda scored: (scored[0], scored[1]["id"]))
    counts: dict[str, int] = {}
    shown = []
    for _, line in entries:
        counts[row_of(line)] = counts.get(row_of(line), 0) + 1
        if counts[row_of(line)] <= pictures:
            shown.append(line)
    samples = find_samples(shown, own)
    drawn = {id(line): draw(line, samples[line["id"]], SMALL) for line in shown}
    return [entry(line, score, drawn.get(id(line), ("", ""))) for score, line in entries]


def entry(line: Line, score: float, pictures: Sequence[str]) -> dict[str, Any]:
    """What the page's script (report.js) reads of an answer."""
    truth = " / ".join(texts(line["truth"]["text"]))
    return {
        "id": line["id"], "row": row_of(line), "task": line["task"], "question": line["question"],
        "answer": line["answer"], "truth": truth, "score": round(score, 4), "defects": answer_defects(line),
        "pictures": list(pictures),
    }  # fmt: skip


def row_of(line: Line) -> str:
    """The row a line belongs to, in words."""
    source = line["predicted"].get("source")
    boxes = f", boxes by {source}" if source else ""
    return f"{line['dataset']} {line['task']}, {line['answers']}{boxes}"
