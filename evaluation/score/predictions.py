"""predictions.jsonl, scored again without a model: the same metrics on what each line holds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ullava.evaluation.engine.answer_form import AnswerForm
from ullava.evaluation.engine.predictions import Line, decode, read_predictions
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.engine.soft_masks import read_png
from ullava.evaluation.metrics.base import METRICS, Metric, Record
from ullava.evaluation.metrics.captions import meteor
from ullava.evaluation.score.kinds import FILE_KINDS, Case, Kind, Suite, match
from ullava.evaluation.score.lists import field_of
from ullava.tasks.base import TASKS

ROW: tuple[str, ...] = ("dataset", "task", "answers", "protocol", "boxes")  # what the lines of one row share


@FILE_KINDS.register("predictions")
class Predictions(Kind):
    """predictions: a run's predictions.jsonl, with the truth in it (--gt: in another): all that its rows report"""

    needs_truth = False

    def suites(self):
        rows = rows_of(self.options.pred)
        if not rows:
            raise ValueError(f"{self.options.pred}: expected lines of predictions, found none")
        if not self.options.gt:
            return [suite(lines, [(line["id"], line, line) for line in lines]) for lines in rows]
        answers = numbered(rows)
        suites = []
        for name, lines in numbered(rows_of(self.options.gt)).items():
            known = {line["id"]: line for line in answers.get(name, ())}
            pairs, extra = match({line["id"]: line for line in lines}, known, self.options)
            suites.append(suite(lines, pairs, extra))
        return suites

    def notes(self):
        left_out = any("meteor" in line["truth"].get("scored_by", ()) for line in checked(self.options.pred))
        return ["METEOR is left out: it needs Java and pycocoevalcap"] if left_out and not meteor.is_there() else []

    def pairs(self, case):
        truth = dict.fromkeys(("masks", "boxes", "text", "there", "absent"), ()) | {"answer": ""} | case.truth["truth"]
        predicted = (case.prediction or {}).get("predicted", {})
        ignored = draw(truth.get("ignored"))
        masks, boxes = truth["masks"], truth["boxes"]
        names = padded(truth.get("names"), masks)
        answer = case.prediction["answer"] if case.prediction else ""
        return {
            "mask": [
                Pair(draw(mask), draw(true), name, ignored)
                for mask, true, name in zip(padded(predicted.get("masks"), masks), masks, names, strict=True)
            ],
            "union": [union_of(predicted, truth, ignored)],
            "box": [Pair(box, true) for box, true in zip(padded(predicted.get("boxes"), boxes), boxes, strict=True)],
            "text": [Pair(predicted.get("text"), as_texts(truth["text"]))],
            "answer": [Pair((answer, predicted.get("readable", False)), truth["answer"])],
            "names": [Pair(predicted.get("there"), (truth["there"], truth["absent"]))],
        }

    def records(self, case: Case, metrics: Sequence[Metric]) -> dict[str, tuple[Record, ...]]:
        graded = [metric for metric in metrics if metric.graded]
        records = super().records(case, [metric for metric in metrics if not metric.graded])
        if graded:
            soft = self.soft(case)
            pairs = self.pairs(case)["mask"]
            pairs = [pair._replace(prediction=mask) for pair, mask in zip(pairs, soft, strict=True)]
            records |= {metric.name: tuple(metric.measure(*pair[:2]) for pair in pairs) for metric in graded}
        return {metric.name: records[metric.name] for metric in metrics}

    def soft(self, case: Case) -> list[np.ndarray | None]:
        """Reads the predicted masks as probabilities from the pictures beside the file."""
        truths = case.truth["truth"]["masks"]
        if case.prediction is None:
            return [None] * len(truths)
        paths = field_of(case.prediction["predicted"], "soft", f"{self.options.pred}: {case.id}: predicted")
        folder = Path(self.options.pred).parent
        return [path and read_png(folder / path) for path in padded(paths, truths)]


def suite(lines: Sequence[Line], pairs: Iterable[tuple[str, Line, Line | None]], extra: Sequence[str] = ()) -> Suite:
    """Makes the suite of a row from its lines."""
    cases = [Case(name, truth["truth"].get("picture", name), prediction, truth) for name, truth, prediction in pairs]
    first = lines[0]
    head: dict[str, Any] = dict(zip(ROW, key(first), strict=True))
    return Suite(first["dataset"], cases, metrics_of(first), extra, head)


def metrics_of(line: Line) -> list[Metric]:
    """Returns the metrics that scored a line (METEOR only if installed), else those of its task that it can feed."""
    if "scored_by" in line["truth"]:
        names = [name for name in line["truth"]["scored_by"] if name != "meteor" or meteor.is_there()]
        by_name = TASKS[line["task"]].by_name
        return [AnswerForm(by_name) if name == AnswerForm.name else METRICS[name]() for name in names]
    holds = {"mask": line["truth"].get("masks"), "box": line["truth"].get("boxes"), "text": line["truth"].get("text")}
    holds["names"], holds["union"] = line["truth"].get("there"), line["truth"].get("union") or holds["mask"]
    metrics = [METRICS[name]() for name in TASKS.build(line["task"], {}).metrics]
    known = [metric for metric in metrics if holds[metric.reads] and (not metric.graded or "soft" in line["predicted"])]
    if not known:
        raise ValueError(
            f"{line['id']}: its line holds nothing that task {line['task']} is scored by; write 'scored_by'"
        )
    return known


def rows_of(path: Path) -> list[list[Line]]:
    """Cuts a file into rows: consecutive lines with the same head, in which no question stands twice."""
    rows: list[list[Line]] = []
    seen: set[str] = set()
    for line in checked(path):
        if not rows or key(line) != key(rows[-1][0]) or line["id"] in seen:
            rows.append([])
            seen = set()
        rows[-1].append(line)
        seen.add(line["id"])
    return rows


def checked(path: Path) -> Iterator[Line]:
    """Yields the lines of a file, after checking that they hold what is needed.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line lacks a key (names it).
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    for number, line in enumerate(read_predictions(path), 1):
        for name in ("id", *ROW[:3], "answer", "truth", "predicted"):
            field_of(line, name, f"{path}:{number}")
        yield line


def numbered(rows: Sequence[list[Line]]) -> dict[tuple, list[Line]]:
    """Indexes rows by what their lines share, the metrics that scored them, and their number among equal ones."""
    numbered_rows: dict[tuple, list[Line]] = {}
    alike: Counter = Counter()
    for lines in rows:
        name = (*key(lines[0]), *lines[0]["truth"].get("scored_by", ()))
        numbered_rows[(alike[name], *name)] = lines
        alike[name] += 1
    return numbered_rows


def key(line: Line) -> tuple:
    """Returns what the lines of one row share, in the order of `ROW`."""
    predicted = line["predicted"]
    return line["dataset"], line["task"], line["answers"], predicted.get("protocol"), predicted.get("source")


def union_of(predicted: Line, truth: Line, ignored: np.ndarray | None) -> Pair:
    """Pairs the union of an answer's masks with that of the true ones: the line's own unions, or else its masks'."""
    if "union" in truth:
        return Pair(draw(predicted.get("union")), draw(truth["union"]), None, ignored)
    masks = padded(predicted.get("masks"), truth["masks"]), truth["masks"]
    drawn = [[decode(mask) for mask in side if mask] for side in masks]
    joined, meant = (np.logical_or.reduce(side) if side else None for side in drawn)
    return Pair(joined, meant, None, ignored)


def padded(items: Sequence | None, like: Sequence) -> list:
    """Cuts `items` to the length of `like`, or fills them up with None."""
    return [*(items or ()), *[None] * len(like)][: len(like)]


def draw(packed: Mapping[str, Any] | None) -> np.ndarray | None:
    """Decodes a mask from its run-lengths."""
    return None if packed is None else decode(packed)


def as_texts(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """Returns the references of a line as a tuple, whether it holds none, one or several."""
    return () if text is None else (text,) if isinstance(text, str) else tuple(text)
