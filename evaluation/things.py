"""What an answer points at, thing by thing, and the files in which other programs want it.

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
from typing import Any

import numpy as np
from PIL import Image

from ullava.configs.tokens import KEY, SEG
from ullava.datasets import images
from ullava.datasets.boxes import box_of
from ullava.datasets.masks import encode
from ullava.datasets.structures import Answer, Box, Picture
from ullava.datasets.tracing import polygons
from ullava.evaluation.box_sources import NAMED, THRESHOLD
from ullava.evaluation.visualise import overlay
from ullava.tasks.grammar import GRAMMARS
from ullava.tasks.name_list import NAME_LISTS, glean

FORMATS = ("png", "npy", "rle", "polygons", "boxes", "overlay", "coco")
USUAL = ("png", "boxes", "overlay")


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing that an answer points at.

    Attributes:
        name: what the answer calls it; "" where it does not.
        mask: (H, W) bool; None where there is a box alone.
        box: where a head said it is, else around the mask; None where the mask is empty.
        confidence: mean probability inside the mask; None without one, or where it is empty.
    """

    name: str
    mask: np.ndarray | None
    box: Box | None
    confidence: float | None


def things(answer: Answer) -> list[Thing]:
    """What an answer points at, in the order of its text: its n-th mask, n-th box and n-th name are one thing."""
    soft = answer.predictions.get("mask", ())
    boxes = answer.predictions.get("box") or answer.predictions.get("detector", ())
    names = names_in(answer.text)
    found = []
    for n in range(max(len(soft), len(boxes))):
        mask = np.asarray(soft[n]) > THRESHOLD if n < len(soft) else None
        there = mask is not None and bool(mask.any())
        box = tuple(float(side) for side in boxes[n]) if n < len(boxes) else box_of(mask) if there else None
        confidence = float(np.asarray(soft[n])[mask].mean()) if there else None
        found.append(Thing(names[n] if n < len(names) else "", mask, box, confidence))
    return found


def names_in(text: str) -> list[str]:
    """What an answer calls its things, in their order: between tags, or as one of the tasks' forms names them."""
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
    """Writes things into a folder, in the formats that somebody wants.

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
        found = things(answer)
        masks = [thing.mask for thing in found if thing.mask is not None]
        given = answer.predictions.get("box") or answer.predictions.get("detector", ())
        boxes = [[round(side, 2) for side in thing.box] for thing in found[: len(given)]]
        line: dict[str, Any] = {"masks": [], "boxes": boxes}
        line["things"] = [
            {"name": thing.name, "confidence": thing.confidence and round(thing.confidence, 4)} for thing in found
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
        if found and "overlay" in self.formats and isinstance(medium, Picture):
            drawn = overlay(images.read(medium), masks, boxes, [thing.name for thing in found])
            line["overlay"] = self.picture(f"{name}_overlay.png", drawn)
        if isinstance(medium, Picture) and "coco" in self.formats:
            self.note(medium, found)
        return line

    def close(self) -> None:
        """Writes coco.json, which is about all pictures."""
        if "coco" in self.formats:
            categories = [{"id": number, "name": name} for name, number in self.categories.items()]
            pictures = list(self.pictures.values())
            self.json("coco.json", {"images": pictures, "annotations": self.annotations, "categories": categories})

    def note(self, picture: Picture, found: Sequence[Thing]) -> None:
        """Adds things to coco.json."""
        if picture.path not in self.pictures:
            height, width = images.read(picture).shape[:2]
            number = len(self.pictures) + 1
            self.pictures[picture.path] = {
                "id": number, "file_name": str(picture.path), "height": height, "width": width,
            }  # fmt: skip
        for thing in found:
            if thing.box is None:
                continue
            category = self.categories.setdefault(thing.name or "thing", len(self.categories) + 1)
            x0, y0, x1, y1 = thing.box
            # Numbered from 1: findings/coco_id_zero.sh
            annotation = {
                "id": len(self.annotations) + 1, "image_id": self.pictures[picture.path]["id"], "category_id": category,
                "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0,
                "score": thing.confidence,
            }  # fmt: skip
            if thing.mask is not None:
                annotation |= {"segmentation": encode(thing.mask), "area": int(thing.mask.sum())}
            self.annotations.append(annotation)

    def picture(self, name: str, pixels: np.ndarray) -> str:
        """Writes pixels; returns the name."""
        Image.fromarray(pixels).save(self.folder / name)
        return name

    def json(self, name: str, content: Any) -> str:
        """Writes JSON; returns the name."""
        (self.folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
        return name
