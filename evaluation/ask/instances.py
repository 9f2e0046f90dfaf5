"""The instances in an answer, and the files in which other programs want them.

png        0003_dog_mask_0.png      white on black, one a mask
npy        0003_dog_masks.npy       (N, H, W) bool
rle        0003_dog_rle.json        COCO's run lengths, one a mask
polygons   0003_dog_polygons.json   a list of outlines [x0, y0, x1, y1, ...] a mask, which cover the same pixels
boxes      0003_dog_boxes.json      x0, y0, x1, y1 in pixels, x1 and y1 outside
overlay    0003_dog_overlay.png     the picture with all of them
coco       coco.json                one file for all pictures, as COCO's annotations, with a score each
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from ullava.configs.tokens import KEY, SEG
from ullava.datasets import images
from ullava.datasets.boxes import box_of
from ullava.datasets.masks import encode
from ullava.datasets.structures import Answer, Box, Picture
from ullava.datasets.tracing import polygons
from ullava.evaluation.ask.options import FORMATS, USUAL
from ullava.evaluation.engine.box_sources import NAMED, THRESHOLD
from ullava.evaluation.report.visualise import overlay
from ullava.tasks.answers.grammar import GRAMMARS
from ullava.tasks.answers.name_list import NAME_LISTS, glean


@dataclass(frozen=True, slots=True)
class Instance:
    """One object that an answer shows.

    Attributes:
        name: the answer's word for it; "" where it has none.
        mask: (H, W) bool; None where there is a box alone.
        box: x0, y0, x1, y1 in pixels, a head's prediction or else around the mask; None where the mask is empty.
        confidence: mean probability inside the mask, 0 to 1; None without a mask, or where it is empty.
    """

    name: str
    mask: np.ndarray | None
    box: Box | None
    confidence: float | None


def instances(answer: Answer) -> list[Instance]:
    """The instances in an answer, in the order of its text: its n-th mask, n-th box and n-th name are one."""
    probabilities = answer.predictions.get("mask", ())
    boxes = predicted_boxes(answer)
    names = names_in(answer.text)
    listed = []
    for n in range(max(len(probabilities), len(boxes))):
        soft = np.asarray(probabilities[n]) if n < len(probabilities) else None
        mask = soft > THRESHOLD if soft is not None else None
        box, confidence = as_box(boxes[n]) if n < len(boxes) else None, None
        if soft is not None and mask is not None and mask.any():
            box = box or box_of(mask)
            confidence = float(soft[mask].mean())
        listed.append(Instance(names[n] if n < len(names) else "", mask, box, confidence))
    return listed


def predicted_boxes(answer: Answer) -> Sequence[Sequence[float]]:
    """The boxes that a head predicted: the box head's, or else the detector's; x0, y0, x1, y1 each."""
    boxes = answer.predictions.get("box") or answer.predictions.get("detector", ())
    return cast(Sequence[Sequence[float]], boxes)  # predictions of these two heads are boxes, never arrays


def as_box(sides: Sequence[float]) -> Box:
    """Four numbers of any kind as x0, y0, x1, y1."""
    x0, y0, x1, y1 = (float(side) for side in sides)
    return x0, y0, x1, y1


def names_in(text: str) -> list[str]:
    """What an answer calls its instances, in their order: between tags, or as one of the tasks' forms names them."""
    if tagged := NAMED.findall(text):
        return [name.strip() for name in tagged]
    if any(form.read(text) for form in NAME_LISTS.values()):
        listed = glean(text)
        return [name for name, token in zip(listed.names, listed.tokens, strict=True) if token == SEG]
    for form in GRAMMARS.values():
        if (reading := form.read(text)) and (reading.names or KEY in reading.tokens):
            return [*reading.names, reading.text][:1]  # its mask and its box are one thing
    return []


class Writer:
    """Writes instances into a folder, in the formats that somebody wants.

    Raises:
        ValueError: a format that there is not.
    """

    def __init__(self, folder: Path, formats: Sequence[str] = USUAL):
        if unknown := [name for name in formats if name not in FORMATS]:
            raise ValueError(f"no format {unknown[0]!r}; there are {', '.join(FORMATS)}")
        self.folder, self.formats = folder, formats
        self.pictures: dict[Path, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []
        self.categories: dict[str, int] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, medium: Any, answer: Answer) -> dict[str, Any]:
        """Writes one answer's files, which begin with `name`; returns their names by kind, and the boxes."""
        listed = instances(answer)
        masks = [instance.mask for instance in listed if instance.mask is not None]
        given = listed[: len(predicted_boxes(answer))]
        boxes = [[round(side, 2) for side in instance.box] for instance in given if instance.box]
        line: dict[str, Any] = {"masks": [], "boxes": boxes}
        line["instances"] = [
            {"name": instance.name, "confidence": instance.confidence and round(instance.confidence, 4)}
            for instance in listed
        ]
        if "png" in self.formats:
            line["masks"] = [self.picture(f"{name}_mask_{n}.png", mask * np.uint8(255)) for n, mask in enumerate(masks)]
        if masks and "npy" in self.formats:
            line["npy"] = f"{name}_masks.npy"
            np.save(self.folder / line["npy"], np.stack(masks))
        for kind, convert in (("rle", encode), ("polygons", polygons)):
            if masks and kind in self.formats:
                line[kind] = self.json(f"{name}_{kind}.json", [convert(mask) for mask in masks])
        if boxes and "boxes" in self.formats:
            self.json(f"{name}_boxes.json", boxes)
        if listed and "overlay" in self.formats and isinstance(medium, Picture):
            names = [instance.name for instance in listed]
            drawn = overlay(images.read(medium), masks, [as_box(sides) for sides in boxes], names)
            line["overlay"] = self.picture(f"{name}_overlay.png", drawn)
        if isinstance(medium, Picture) and "coco" in self.formats:
            self.note(medium, listed)
        return line

    def close(self) -> None:
        """Writes coco.json, which is about all pictures."""
        if "coco" in self.formats:
            categories = [{"id": number, "name": name} for name, number in self.categories.items()]
            pictures = list(self.pictures.values())
            self.json("coco.json", {"images": pictures, "annotations": self.annotations, "categories": categories})

    def note(self, picture: Picture, listed: Sequence[Instance]) -> None:
        """Adds instances to coco.json."""
        if picture.path not in self.pictures:
            height, width = images.read(picture).shape[:2]
            number = len(self.pictures) + 1
            self.pictures[picture.path] = {
                "id": number, "file_name": str(picture.path), "height": height, "width": width,
            }  # fmt: skip
        for instance in listed:
            if instance.box is None:
                continue
            category = self.categories.setdefault(instance.name or "thing", len(self.categories) + 1)
            x0, y0, x1, y1 = instance.box
            # Numbered from 1: findings/coco_id_zero.sh
            annotation = {
                "id": len(self.annotations) + 1, "image_id": self.pictures[picture.path]["id"], "category_id": category,
                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0,
                "score": instance.confidence,
            }  # fmt: skip
            if instance.mask is not None:
                annotation |= {"segmentation": encode(instance.mask), "area": int(instance.mask.sum())}
            self.annotations.append(annotation)

    def picture(self, name: str, pixels: np.ndarray) -> str:
        """Writes pixels; returns the name."""
        Image.fromarray(pixels).save(self.folder / name)
        return name

    def json(self, name: str, content: Any) -> str:
        """Writes JSON; returns the name."""
        (self.folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
        return name
