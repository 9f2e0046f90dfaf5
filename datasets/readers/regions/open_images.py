"""OpenImages V6's segmentation: an index of pictures, and of one mask file for each object in them.

The index is LaSagnA's `train_mask.json` (arXiv:2404.08506): {image id: {class: [mask file, ...]}, "categories": [...]}.
`ullava prepare openimages` makes it of the official tables (storage.googleapis.com/openimages/web/download_v6.html).

    {"categories": ["Coffee cup", "Dog"], "0a12bc": {"Coffee cup": ["train_mask/0/0a12bc_m02p5f1q_1.png"]}}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.datasets import images
from ullava.datasets.formats.mask_pictures import Foreground
from ullava.datasets.masks import Union
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_object

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
        return np.asarray(Image.fromarray(drawn).resize((self.size[1], self.size[0]), Image.Resampling.NEAREST))


@READERS.register("open_images")
@dataclass(frozen=True)
class OpenImages(TableReader):
    """One sample per picture, one region per class: the union of its masks. This reader looks at the picture's size.

    Args:
        annotations: the index.
        images: folder of <first two characters>/<id>.jpg, as LaSagnA has them, or of <id>.jpg.
        masks: folder from which mask files count.
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
        """All classes, in the order of the index; a table, too, for the index has hundreds of megabytes."""
        return [row.id for row in open_table(categories, self.annotations)] if self.closed else []

    @cached_property
    def filed(self) -> bool:
        """Whether pictures lie in folders by their first two characters."""
        return inside(self.images, self.table[0].id[:2], self.name).is_dir()

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        path = self.shown(index)[0]
        size = images.size_of(path)
        regions = []
        for category, files in row.facts.items():
            parts = tuple(Stretched(inside(self.masks, file, sample_id), size) for file in files)
            regions.append(Region(category=category, mask=parts[0] if len(parts) == 1 else Union(parts)))
        absent = tuple(name for name in self.names if name not in row.facts)
        return Sample(sample_id, (Picture(path, size),), tuple(regions), absent)

    def shown(self, index: int) -> tuple[Path, ...]:
        row = self.table[index]
        file = f"{row.id[:2]}/{row.picture}" if self.filed else row.picture
        return (inside(self.images, file, f"{self.name}/{row.id}"),)


def rows(path: Path) -> Iterator[TableRow]:
    """One row per picture, in the order of ids."""
    tree = read_object(path, CATEGORIES)
    for identity, classes in sorted(tree.items()):
        if identity != CATEGORIES and classes:
            if not all(files and all(isinstance(file, str) for file in files) for files in classes.values()):
                raise ValueError(f"{path}: {identity}: expected mask files of each class, found {str(classes)[:60]}")
            yield TableRow(identity, f"{identity}.jpg", classes)


def categories(path: Path) -> Iterator[TableRow]:
    """One row per class."""
    for name in read_object(path, CATEGORIES)[CATEGORIES]:
        yield TableRow(name, "", {})
