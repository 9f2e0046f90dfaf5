"""Box files: one box for each expression."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ullava.datasets.structures import Box
from ullava.evaluation.engine.scoring import Pair
from ullava.evaluation.metrics.base import METRICS
from ullava.evaluation.score.kinds import FILE_KINDS, Case, Kind, Suite, match
from ullava.evaluation.score.lists import field_of, read_json


@FILE_KINDS.register("boxes")
class Boxes(Kind):
    """boxes: JSON, [{"id", "box": [x0, y0, x1, y1]}] or {id: box}; "bbox" is x, y, w, h as COCO's: acc@t"""

    def suites(self):
        gt, pred = self.options.gt, self.options.pred
        pairs, extra = match(read_boxes(gt, "gt"), read_boxes(pred, "pred"), self.options)
        cases = [Case(name, picture, box, truth) for name, (truth, picture), box in pairs]
        for case in cases:
            if case.truth is None:
                raise ValueError(f"{gt}: {case.id}: expected a true box, found none")
        return [Suite(gt.stem, cases, [METRICS["box_accuracy"]()], extra)]

    def pairs(self, case):
        return {"box": [Pair(case.prediction and case.prediction[0], case.truth)]}


def read_boxes(path: Path, side: str) -> dict[str, tuple[Box | None, str]]:
    """Reads a box file: id -> (box, id of the picture that it lies in).

    Args:
        side: "pred" or "gt": what an entry that holds both calls its own.

    Raises:
        ValueError: no list of boxes, an entry without one, a box that is not four numbers, or an id that stands twice.
    """
    content = read_json(path)
    entries = content.get("boxes", content) if isinstance(content, dict) else content
    if isinstance(entries, dict):
        entries = [{"id": name, "box": box} for name, box in entries.items()]
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        raise ValueError(f"{path}: expected a list of objects, each with 'id' and 'box', or an object of boxes by id")
    boxes: dict[str, tuple[Box | None, str]] = {}
    for entry in entries:
        name = str(field_of(entry, "id", path))
        if name in boxes:
            raise ValueError(f"{path}: {name}: stands twice; one box belongs to an id")
        boxes[name] = box_in(entry, side, f"{path}: {name}"), str(entry.get("image_id", entry.get("picture", name)))
    return boxes


def box_in(entry: Mapping[str, Any], side: str, where: str) -> Box | None:
    """Returns the box of an entry; None where the answer held none."""
    key = next((key for key in (side, "box", "bbox") if key in entry), "box")
    box = field_of(entry, key, where)
    if box is None:
        return None
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(number, int | float) for number in box)):
        raise ValueError(f"{where}: expected four numbers, found {str(box)[:60]}; null says that there is no box")
    x0, y0, x1, y1 = (float(number) for number in box)
    return (x0, y0, x0 + x1, y0 + y1) if key == "bbox" else (x0, y0, x1, y1)
