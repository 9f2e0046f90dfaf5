"""Semantic segmentation as one picture of class ids per picture: ADE20K, COCO-Stuff, Cityscapes, CamVid, ..."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ullava.datasets import masks
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import by_stem, chosen, paired
from ullava.datasets.structures import Picture, Region, Sample


@READERS.register("label_map")
@dataclass(frozen=True)
class LabelMap(Reader):
    """One sample per label map: a region for each class present, the names of those absent.

    Only the pixels know which classes are present, so this reader decodes the label map; it stays cached for drawing.

    Args:
        images, labels: folders that hold `x.jpg` (or another kind) and `x.png` for every x, or folders alike with them.
        classes: one name a line, in id order; a line "-" is an id without a class, ignored like `void`.
        first_id: pixel value of the first class.
        void: pixel values that belong to no class and count nowhere.
        listed: text file; the first path on each line names a record. None: all label maps.
    """

    name: str
    images: Path
    labels: Path
    classes: Path
    first_id: int = 0
    void: tuple[int, ...] = ()
    listed: Path | None = None

    @cached_property
    def names(self) -> dict[int, str]:
        """Class name by pixel value."""
        lines = self.classes.read_text(encoding="utf-8").splitlines()
        return {self.first_id + i: line.strip() for i, line in enumerate(lines) if line.strip() != "-"}

    @cached_property
    def pairs(self) -> list[tuple[Path, Path]]:
        """Paths of picture and label map, in the order of stems or of the list."""
        pictures, labels = by_stem(self.images), by_stem(self.labels)
        stems = chosen(self.listed, labels) if self.listed else list(labels)
        return paired({self.images: pictures, self.labels: labels}, stems)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        picture, label = self.pairs[index]
        sample_id = f"{self.name}/{label.relative_to(self.labels).with_suffix('')}"
        labels = masks.label_map(label)
        present = np.flatnonzero(np.bincount(labels.ravel())).tolist()
        size = tuple(labels.shape)
        regions = [
            Region(category=self.names[value], mask=masks.LabelPixels(label, (value,)))
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

    def ignored(self, label: Path, present: list[int], where: str) -> masks.Mask | None:
        """Pixels of no class; None where there are none."""
        values = tuple(value for value in present if value not in self.names)
        last = self.first_id + len(self.classes.read_text(encoding="utf-8").splitlines())
        if unknown := [value for value in values if value not in self.void and not self.first_id <= value < last]:
            raise ValueError(
                f"{where}: {label} holds the value {unknown[0]}, expected {self.first_id} to {last - 1} "
                f"({self.classes.name}) or void {list(self.void)}; add it to `void:`"
            )
        return masks.LabelPixels(label, values) if values else None
