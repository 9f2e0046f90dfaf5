"""Objects in YOLO's text files: one per picture, one line an object (docs.ultralytics.com, "Datasets").

    0 0.5 0.5 0.125 0.25                    a box
    0 0.4 0.4 0.6 0.4 0.6 0.6               a polygon
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ullava.datasets import boxes, images
from ullava.datasets.masks import Polygons
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import by_stem, paired
from ullava.datasets.structures import Picture, Region, Sample

SLACK = 0.01  # of the picture's side, that programs write beyond it when they round


@READERS.register("yolo")
@dataclass(frozen=True)
class Yolo(Reader):
    """One sample per text file that is not empty, one region per line: a box, or a polygon with its box.

    A line is `class x y width height`, of the box's centre, or `class x0 y0 x1 y1 ...`, of a polygon; all fractions of
    the picture's width and height, so this reader looks at the picture's size. There are no crowds and no void.

    Args:
        images, labels: folders that hold `x.jpg` (or another kind) and `x.txt`. Pictures without objects have no text,
            or an empty one, and are left out.
        classes: one name a line, in id order; a line "-" is an id without a class.
        first_id: of the first class: 0, or 1 where the ids are MS COCO's own.
        unique_categories: keep only objects whose category is there once, and say them by its name; pictures without
            such an object are left out.
    """

    name: str
    images: Path
    labels: Path
    classes: Path
    first_id: int = 0
    unique_categories: bool = False

    @cached_property
    def names(self) -> dict[str, str]:
        """Class name by id, as it is written."""
        lines = self.classes.read_text(encoding="utf-8").splitlines()
        return {str(self.first_id + i): line.strip() for i, line in enumerate(lines) if line.strip() != "-"}

    @cached_property
    def pairs(self) -> list[tuple[Path, Path]]:
        """Paths of picture and text, in the order of stems."""
        pictures, texts = by_stem(self.images), by_stem(self.labels)
        stems = [stem for stem, text in texts.items() if self.has_objects(text)]
        file_pairs = paired([(self.images, pictures), (self.labels, texts)], stems)
        return [(picture, text) for picture, text in file_pairs]

    def has_objects(self, text: Path) -> bool:
        """Whether a text states objects, of those that are kept."""
        if not self.unique_categories:
            return text.stat().st_size > 0
        return 1 in Counter(line.split()[0] for line in text.read_text().splitlines() if line.strip()).values()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        path, text = self.pairs[index]
        size = images.size_of(path)
        lines = text.read_text(encoding="utf-8").splitlines()
        regions = [self.region(line, size, f"{text}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
        if self.unique_categories:
            count = Counter(region.category for region in regions)
            regions = [region for region in regions if count[region.category] == 1]
        sample_id = f"{self.name}/{text.relative_to(self.labels).with_suffix('')}"
        return Sample(sample_id, (Picture(path, size),), tuple(regions))

    def shown(self, index: int) -> tuple[Path, ...]:
        return (self.pairs[index][0],)

    def region(self, line: str, size: tuple[int, int], where: str) -> Region:
        """Reads the region in one line.

        Raises:
            ValueError: another number of numbers, an unknown class, or a place outside of the picture.
        """
        identity, *written = line.split()
        if identity not in self.names:
            raise ValueError(f"{where}: no class {identity!r} in {self.classes.name} from {self.first_id} on")
        try:
            numbers = np.array(written, float)
        except ValueError as error:
            raise ValueError(f"{where}: expected numbers, found {' '.join(written)[:60]!r}") from error
        if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
            raise ValueError(f"{where}: expected 4 numbers of a box or 6, 8, ... of a polygon, found {len(numbers)}")
        if not ((numbers >= -SLACK) & (numbers <= 1 + SLACK)).all():
            raise ValueError(f"{where}: expected fractions of the picture, 0 to 1, found {' '.join(written)[:60]!r}")
        phrases = (self.names[identity],) if self.unique_categories else ()
        if len(numbers) == 4:
            corners = [*(numbers[:2] - numbers[2:] / 2), *(numbers[:2] + numbers[2:] / 2)]
            return Region(phrases, self.names[identity], boxes.from_normalised(list(map(float, corners)), size))
        points = numbers.reshape(-1, 2) * size[::-1]
        box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        return Region(phrases, self.names[identity], box, Polygons(size, (tuple(points.ravel().tolist()),)))
