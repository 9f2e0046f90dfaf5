"""Semantic segmentation as one picture of class ids per picture: ADE20K, COCO-Stuff, Cityscapes, CamVid, ...

PASCAL Context's MATLAB files are such pictures, too.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ullava.configs.registry import nearest
from ullava.datasets.formats.mask_pictures import LabelPixels, label_map
from ullava.datasets.masks import Mask
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import by_stem, chosen, paired
from ullava.datasets.structures import Picture, Region, Sample


@READERS.register("label_map")
@dataclass(frozen=True)
class LabelMap(Reader):
    """One sample per label map: a region for each class present, the names of those absent.

    Only the pixels know which classes are present, so this reader decodes the label map; it stays cached for drawing.

    Args:
        images, labels: folders that hold `x.jpg` (or another kind) and `x.png` (.tif, .mat) for every x, or folders
            alike with them.
        classes: one name a line, in id order; a line "-" is an id without a class, ignored like `void`.
        first_id: pixel value of the first class.
        void: pixel values that belong to no class and count nowhere.
        background: pixel values that are none of the classes, and count: whatever is drawn there is wrong.
        listed: text file; the first path on each line names a record. None: all label maps.
        only: names of the classes that count, where not all do, one a line; pixels of the others are ignored.
        image_ending, label_ending: of the files' names, where a folder holds others or stems differ: Cityscapes'
            "_leftImg8bit.png" and "_gtFine_labelIds.png".
    """

    decodes = True

    name: str
    images: Path
    labels: Path
    classes: Path
    first_id: int = 0
    void: tuple[int, ...] = ()
    background: tuple[int, ...] = ()
    listed: Path | None = None
    only: Path | None = None
    image_ending: str = ""
    label_ending: str = ""

    @cached_property
    def names(self) -> dict[int, str]:
        """Class name by pixel value."""
        lines = [line.strip() for line in self.classes.read_text(encoding="utf-8").splitlines()]
        kept = set(self.only.read_text(encoding="utf-8").splitlines() if self.only else lines) - {"-"}
        if unknown := sorted(kept.difference(lines)):
            raise ValueError(f"{self.only}: no class {unknown[0]!r} in {self.classes}; {nearest(unknown[0], lines)}")
        return {self.first_id + i: line for i, line in enumerate(lines) if line in kept}

    @cached_property
    def pairs(self) -> list[tuple[str, Path, Path]]:
        """Stem, and paths of picture and label map, in the order of stems or of the list."""
        pictures, labels = by_stem(self.images, self.image_ending), by_stem(self.labels, self.label_ending)
        stems = chosen(self.listed, labels) if self.listed else list(labels)
        file_pairs = paired([(self.images, pictures), (self.labels, labels)], stems)
        return [(stem, picture, label) for stem, (picture, label) in zip(stems, file_pairs, strict=True)]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        stem, picture, label = self.pairs[index]
        sample_id = f"{self.name}/{stem}"
        labels = label_map(label)
        present = np.flatnonzero(np.bincount(labels.ravel())).tolist()
        size = tuple(labels.shape)
        regions = [
            Region(category=self.names[value], mask=LabelPixels(label, (value,)))
            for value in present
            if value in self.names
        ]
        return Sample(
            sample_id,
            (Picture(picture, size),),
            tuple(regions),
            absent=tuple(name for value, name in self.names.items() if value not in present),
            ignored=self.ignored(label, present, sample_id),
        )

    def shown(self, index: int) -> tuple[Path, ...]:
        return (self.pairs[index][1],)

    def ignored(self, label: Path, present: list[int], where: str) -> Mask | None:
        """Pixels that may belong to any class; None where there are none."""
        values = tuple(value for value in present if value not in self.names and value not in self.background)
        last = self.first_id + len(self.classes.read_text(encoding="utf-8").splitlines())
        if unknown := [value for value in values if value not in self.void and not self.first_id <= value < last]:
            raise ValueError(
                f"{where}: {label} holds the value {unknown[0]}, expected {self.first_id} to {last - 1} "
                f"({self.classes.name}) or void {list(self.void)}; add it to `void:`"
            )
        return LabelPixels(label, values) if values else None
