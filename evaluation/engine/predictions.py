"""predictions.jsonl: one line per question, with its truth, what was predicted, and its own scores.

Masks are COCO run-lengths of the original size, boxes x0, y0, x1, y1 in pixels, x1 and y1 outside. A line holds all
that its metrics read, so that `ullava score predictions` finds the scores again without a model.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ullava.datasets.masks import decode, encode  # noqa: F401, who reads the lines decodes their masks
from ullava.datasets.structures import Answer, Dialogue
from ullava.evaluation.engine.box_sources import THRESHOLD

Line = dict[str, Any]
OF_A_SET = ("CIDEr-D",)  # scores that say nothing of one question: their weights come from all of them


def write_line(
    dialogue: Dialogue,
    answer: Answer,
    head: Mapping[str, str],
    pairs: Mapping[str, Sequence],
    scores: Mapping[str, float],
) -> Line:
    """Makes a question's line of predictions.jsonl.

    Args:
        head: its dataset, task, whether answers are given or generated, and the protocol.
        pairs: by kind, the (prediction, truth, ...) that its metrics compare.
        scores: of this question alone; those that one question does not have are left out.
    """
    text, answer_pair = pairs["text"][0], pairs["answer"][0]
    ignored = next((pair.ignored for pair in pairs["mask"] if pair.ignored is not None), None)
    names, (there, absent) = pairs["names"][0][:2]
    truth = {"names": [pair.category for pair in pairs["mask"]], "ignored": pack(ignored), "text": list(text.truth)}
    return {
        "id": dialogue.id,
        **{name: head[name] for name in ("dataset", "task", "answers")},
        "question": "\n".join(turn.question for turn in dialogue.turns),
        "answer": answer_pair.prediction[0],
        "truth": side(pairs, 1) | truth | {"there": there, "absent": absent, "answer": answer_pair.truth},
        "predicted": side(pairs, 0) | {"there": names, "text": text.prediction, "readable": answer_pair.prediction[1]},
        "metrics": {name: score for name, score in scores.items() if name not in OF_A_SET and not math.isnan(score)},
    }


def side(pairs: Mapping[str, Sequence], which: int) -> Line:
    """Packs the masks and boxes on one side of the pairs: 0 predicted, 1 true; `union` where a metric reads it."""
    masks, boxes, unions = ([pair[which] for pair in pairs.get(kind, ())] for kind in ("mask", "box", "union"))
    packed = {
        "masks": [pack(mask) for mask in masks],
        "boxes": [None if box is None else list(box) for box in boxes],
    }
    return packed | ({"union": pack(unions[0])} if unions else {})


def pack(mask: Any) -> dict[str, Any] | None:
    """Encodes a mask as run-lengths; probabilities are cut at 0.5."""
    return None if mask is None else encode(np.asarray(mask) > THRESHOLD)


def read_predictions(path: str | Path) -> Iterator[Line]:
    """Yields the lines of a predictions.jsonl.

    Raises:
        ValueError: a line that is no JSON, with its number.
    """
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                start = line[:40].decode(errors="replace")
                raise ValueError(f"{path}:{number}: expected JSON, found {start!r}: {error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Opens a text file beside `path` that takes its place when all went well, and vanishes when not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("w", encoding="utf-8") as file:
            yield file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
