"""What is wrong with the form of an answer, whatever it is worth: the kinds by which people look for defects."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ullava.datasets.structures import OWNER_PATTERN
from ullava.evaluation.engine.predictions import Line
from ullava.evaluation.report.best_worst import area, quality

NO_TOKEN, WRONG_COUNT, EMPTY_MASK, UNPARSEABLE, MISSED = (
    "no token", "wrong count", "empty mask", "unparseable", "missed",
)  # fmt: skip
DEFECTS = {
    NO_TOKEN: "says no owner token where one was promised",
    WRONG_COUNT: "says another number of owner tokens than promised",
    EMPTY_MASK: "draws nothing where something is",
    UNPARSEABLE: "does not follow the grammar of its task",
    MISSED: "keeps its form, and has nothing in common with the truth",
}


def answer_defects(line: Line) -> list[str]:
    """The kinds of defect of a line of predictions.jsonl, in the order of DEFECTS; none where nothing is wrong.

    An answer that keeps its form and scores 0 is "missed".
    """
    truth, predicted = line["truth"], line["predicted"]
    promised, answered = tokens(truth.get("answer") or ""), tokens(line["answer"])
    drawn = [mask for mask, true in zip(predicted["masks"], truth["masks"], strict=False) if mask and not empty(true)]
    defects = {
        NO_TOKEN: bool(promised) and not answered,
        WRONG_COUNT: bool(answered) and answered != promised,
        EMPTY_MASK: any(map(empty, drawn)),
        UNPARSEABLE: not predicted.get("readable", True),
    }
    kinds = [kind for kind, holds in defects.items() if holds]
    return kinds or ([MISSED] if quality(line) == 0 else [])


def tokens(text: str) -> Counter[str]:
    """How often a text says each owner token."""
    return Counter(OWNER_PATTERN.findall(text))


def empty(mask: Mapping[str, Any] | None) -> bool:
    """Whether a COCO RLE holds no foreground."""
    return mask is None or not area(mask)
