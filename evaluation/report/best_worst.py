"""Chooses which answers of predictions.jsonl to show, and draws them beside the truth.

Of each task the best, the median and the worst, by one number that is the same for all tasks of a kind: the mean IoU of
its masks, else of its boxes, else the overlap of words with the nearest reference. Nobody picks by hand.
"""

import base64
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from ullava.datasets.catalogue import open_dataset
from ullava.datasets.images import read
from ullava.datasets.structures import Box, Picture, Sample
from ullava.datasets.videos import read_frames
from ullava.evaluation.engine.predictions import Line, decode, read_predictions
from ullava.evaluation.report.main_scores import is_asked
from ullava.evaluation.report.visualise import beside, enlarge, overlay

RANKS = ("best", "median", "worst")  # where there are fewer answers, the later name stands
FRAMES = 4  # of a video, shown in a row
LONGEST = 960  # pixels of a picture's longer side on the page


@dataclass(frozen=True, slots=True)
class ChosenAnswer:
    """An answer that is shown because it is the best, the median or the worst of its task.

    Attributes:
        rank: one of `RANKS`.
        quality: see `quality`.
        line: of predictions.jsonl.
        truth, predicted: pictures as data URIs; "" where the question has none.
    """

    rank: str
    quality: float
    line: Line
    truth: str
    predicted: str

    @property
    def words(self) -> dict[str, str]:
        """What was asked, answered and true, in words; "" where there are none."""
        truth = " / ".join(texts(self.line["truth"]["text"]))
        return {"question": self.line["question"], "answer": self.line["answer"], "truth": truth}


def choose(predictions: Path, own: Mapping[str, Any]) -> list[ChosenAnswer]:
    """The answers to show, by task and then from best to worst; `own` holds the run's own catalogue entries.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is not JSON (names it), or an answer whose sample its dataset does not hold.
    """
    chosen: list[tuple[str, float, Line]] = []
    groups: dict[tuple[str, str], list[tuple[float, str, Line]]] = {}
    for line in read_predictions(predictions):
        if is_asked(line):
            groups.setdefault((line["task"], line["dataset"]), []).append((quality(line), line["id"], line))
    for group in groups.values():
        group.sort(key=lambda item: (-item[0], item[1]))
        places = dict(zip((0, len(group) // 2, len(group) - 1), RANKS, strict=True))
        chosen += [(rank, group[place][0], group[place][2]) for place, rank in sorted(places.items())]
    samples = find_samples([line for _, _, line in chosen], own)
    return [ChosenAnswer(rank, score, line, *draw(line, samples[line["id"]])) for rank, score, line in chosen]


def quality(line: Line) -> float:
    """How good an answer is, 0 to 1: mean mask IoU, else mean box IoU, else F1 of its words with the nearest reference.

    A mask or box that is missing counts 0; two empty masks agree. Where several masks count as one, so they do here.
    """
    truth, predicted = line["truth"], line["predicted"]
    if union := truth.get("union"):
        answered = predicted.get("union")
        return mask_iou(answered, union) if answered else float(not area(union))
    for kind, agreement in (("masks", mask_iou), ("boxes", box_iou)):
        if truth[kind]:
            padded = [*(predicted[kind] or ()), *[None] * len(truth[kind])]
            pairs = list(zip(padded, truth[kind], strict=False))
            return float(np.mean([agreement(a, b) if a is not None and b is not None else 0.0 for a, b in pairs]))
    answer = predicted["text"] if predicted["text"] is not None else line["answer"]
    return max((word_f1(answer, reference) for reference in texts(truth["text"])), default=0.0)


def mask_iou(first: Mapping[str, Any], second: Mapping[str, Any]) -> float:
    """IoU of two COCO RLEs; 1 where both are empty, 0 where their sizes differ."""
    if tuple(first["size"]) != tuple(second["size"]):
        return 0.0
    if area(first) == area(second) == 0:
        return 1.0
    return float(np.asarray(coco.iou(cast(Any, [first]), cast(Any, [second]), [0]))[0, 0])


def area(mask: Mapping[str, Any]) -> int:
    """Pixels of a COCO RLE."""
    return int(coco.area(cast(Any, mask)))


def box_iou(first: Box, second: Box) -> float:
    """IoU of two boxes x0, y0, x1, y1; 0 for one inside out."""
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    high = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = sum(max(0.0, x1 - x0) * max(0.0, y1 - y0) for x0, y0, x1, y1 in (first, second))
    return wide * high / (areas - wide * high) if areas > wide * high else 0.0


def word_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of words, counted with their repetitions; case and marks do not count."""
    words, expected = (Counter(re.findall(r"\w+", text.lower())) for text in (answer, reference))
    common = sum((words & expected).values())
    return 2 * common / max(1, words.total() + expected.total())


def texts(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """The different reference texts of a line, however many there are."""
    return () if text is None else (text,) if isinstance(text, str) else tuple(dict.fromkeys(text))


def find_samples(lines: Sequence[Line], own: Mapping[str, Any]) -> dict[str, Sample]:
    """Question id -> its sample, from the datasets that the lines name; each dataset is read until all are found."""
    wanted: dict[tuple[str, str], dict[str, list[str]]] = {}
    for line in lines:
        names = wanted.setdefault((line["dataset"], line["task"]), {})
        names.setdefault(line["id"].rpartition("#")[0] or line["id"], []).append(line["id"])
    samples: dict[str, Sample] = {}
    for (dataset, task), names in wanted.items():
        reader = open_dataset(dataset, task, dict(own))
        for i in range(len(reader)):
            if not names:
                break
            sample = reader[i]
            samples |= dict.fromkeys(names.pop(sample.id, ()), sample)
        if names:
            raise ValueError(f"{next(iter(names))}: no such sample in dataset {dataset!r}; has its annotation changed "
                             "since the evaluation?")  # fmt: skip
    return samples


def draw(line: Line, sample: Sample, longest: int = LONGEST) -> tuple[str, str]:
    """The truth and the prediction over the sample's picture, as data URIs; a video is shown once, as frames.

    Args:
        longest: most pixels of a side.
    """
    if not sample.media:
        return "", ""
    if not isinstance(sample.media[0], Picture):
        frames = [enlarge(frame, [], [], side=160)[0] for frame in read_frames(sample.media[0], FRAMES)]
        return data_uri(beside(frames), longest), ""
    picture = read(sample.media[0])
    if not any(line["truth"].get(kind) for kind in ("masks", "boxes", "union")):
        return data_uri(enlarge(picture, [], [])[0], longest), ""
    return data_uri(show(picture, line["truth"]), longest), data_uri(show(picture, line["predicted"]), longest)


def show(picture: np.ndarray, side: Mapping[str, Any]) -> np.ndarray:
    """The picture under the masks and boxes of the truth or the prediction; masks of another size (a control's) are
    left out.

    Args:
        picture: (H, W, 3) uint8.
        side: `truth` or `predicted` of a line.
    """
    packed = [side["union"]] if "union" in side else side["masks"] or ()
    masks = [decode(mask) for mask in packed if mask is not None]
    boxes = [tuple(box) for box in side["boxes"] or () if box is not None]
    return overlay(*enlarge(picture, [mask for mask in masks if mask.shape == picture.shape[:2]], boxes))


def data_uri(picture: np.ndarray, longest: int = LONGEST) -> str:
    """A picture (H, W, 3) uint8 as a JPEG inside an address, its longer side of at most `longest` pixels."""
    file, image = io.BytesIO(), Image.fromarray(picture)
    image.thumbnail((longest, longest))
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
