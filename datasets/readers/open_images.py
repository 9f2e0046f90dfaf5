"""OpenImages V6's segmentation: an index of pictures, and of one mask file for each object in them.

The index is LaSagnA's `train_mask.json` (arXiv:2404.08506): {image id: {class: [mask file, ...]}, "categories": [...]}.
`index` makes it of the official tables (storage.googleapis.com/openimages/web/download_v6.html).
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ullava.configs.registry import nearest
from ullava.datasets import images
from ullava.datasets.masks import Foreground, Union
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Row, Table, open_table, read_object

CATEGORIES = "categories"  # the one key of an index that is no picture


@dataclass(frozen=True, slots=True)
class Stretched:
    """A mask file of its own size, brought to its picture's by the nearest pixel."""

    path: Path
    size: tuple[int, int]

    def draw(self) -> np.ndarray:
        drawn = Foreground(self.path).draw()
        if drawn.shape == self.size:
            return drawn
        return np.asarray(Image.fromarray(drawn).resize(self.size[::-1], Image.Resampling.NEAREST))


@READERS.register("open_images")
@dataclass(frozen=True)
class OpenImages(TableReader):
    """One sample per picture, one region per class: the union of its masks. This reader looks at the picture's size.

    Args:
        annotations: the index.
        images: folder of <first two characters>/<id>.jpg, as LaSagnA has them, or of <id>.jpg.
        masks: folder of <first character>/<mask file>, as LaSagnA has them, or of the mask files.
        closed: whether the index's classes that a picture does not name are absent from it. LaSagnA trains as if they
            were; OpenImages says so of those only that people were asked about.
    """

    name: str
    annotations: Path
    images: Path
    masks: Path
    closed: bool = False

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations)

    @cached_property
    def names(self) -> list[str]:
        """All classes, in the order of the index."""
        return list(read_object(self.annotations, CATEGORIES)[CATEGORIES]) if self.closed else []

    @cached_property
    def filed(self) -> tuple[bool, bool]:
        """Whether pictures, and masks, lie in folders by their first characters."""
        first = self.table[0]
        mask = next(iter(first.facts.values()))[0]
        places = inside(self.images, first.id[:2], self.name), inside(self.masks, mask[:1], self.name)
        return tuple(place.is_dir() for place in places)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        by_two, by_one = self.filed
        path = inside(self.images, f"{row.id[:2]}/{row.picture}" if by_two else row.picture, sample_id)
        size = images.size_of(path)
        regions = []
        for category, files in row.facts.items():
            paths = [inside(self.masks, f"{file[:1]}/{file}" if by_one else file, sample_id) for file in files]
            parts = tuple(Stretched(path, size) for path in paths)
            regions.append(Region(category=category, mask=parts[0] if len(parts) == 1 else Union(parts)))
        absent = tuple(name for name in self.names if name not in row.facts)
        return Sample(sample_id, (Picture(path, size),), tuple(regions), absent)


def rows(path: Path) -> Iterator[Row]:
    """One row per picture, in the order of ids."""
    tree = read_object(path, CATEGORIES)
    for identity, classes in sorted(tree.items()):
        if identity != CATEGORIES and classes:
            if not all(files and all(isinstance(file, str) for file in files) for files in classes.values()):
                raise ValueError(f"{path}: {identity}: expected mask files of each class, found {str(classes)[:60]}")
            yield Row(identity, f"{identity}.jpg", classes)


def index(annotations: Path, classes: Path) -> Mapping[str, Any]:
    """The index that LaSagnA never published, of the official tables; JSON-ready.

    Args:
        annotations: *-annotations-object-segmentation.csv with the columns MaskPath, ImageID, LabelName.
        classes: class-descriptions-boxable.csv, or another table of (LabelName, DisplayName).

    Raises:
        ValueError: a column is missing, or a label has no name; says where.
    """
    with classes.open(newline="", encoding="utf-8") as file:
        names = {line[0]: line[1].strip().lower() for line in csv.reader(file) if len(line) > 1}
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with annotations.open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        for column in ("MaskPath", "ImageID", "LabelName"):
            if column not in (lines.fieldnames or ()):
                raise ValueError(f"{annotations}: no column {column!r}; {nearest(column, lines.fieldnames or ())}")
        for line in lines:
            if line["LabelName"] not in names:
                raise ValueError(f"{annotations}:{lines.line_num}: {classes} has no name of {line['LabelName']!r}")
            found[line["ImageID"]][names[line["LabelName"]]].append(line["MaskPath"])
    said = sorted({category for named in found.values() for category in named})
    return {identity: dict(named) for identity, named in sorted(found.items())} | {CATEGORIES: said}
