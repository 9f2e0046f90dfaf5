"""Captions as a table of (image, caption): Flickr8k (doi:10.1613/jair.3994) and Flickr30k as Kaggle has them.

    image,caption
    a.jpg,A cup on a table .
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn
from ullava.datasets.tables import Table, TableRow, open_table


@READERS.register("flickr_captions")
@dataclass(frozen=True)
class FlickrCaptions(TableReader):
    """One sample per picture, all its captions in one turn without a question.

    Args:
        annotations: text with a first line of column names, then picture and caption (the last column) on each line.
        images: folder of the pictures.
        delimiter: between the columns: "," in Flickr8k, "|" in Flickr30k.
        listed: text file with the names, or the stems, of the pictures that belong to the split, one a line; None: all.
    """

    name: str
    annotations: Path
    images: Path
    delimiter: str = ","
    listed: Path | None = None

    @cached_property
    def table(self) -> Table:
        sources = [self.annotations, self.listed] if self.listed else [self.annotations]
        return open_table(rows, *sources, delimiter=self.delimiter)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, captions = f"{self.name}/{row.id}", tuple(row.facts["captions"])
        picture = Picture(inside(self.images, row.picture, sample_id))
        return Sample(sample_id, (picture,), turns=(Turn("", captions[0], captions),))


def rows(path: Path, listed: Path | None = None, *, delimiter: str) -> Iterator[TableRow]:
    """One row per picture, in the order of file names."""
    chosen = {Path(name).stem for name in listed.read_text(encoding="utf-8").split()} if listed else None
    captions_of = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file, delimiter=delimiter)
        next(lines, None)
        for columns in lines:
            if len(columns) < 2:
                raise ValueError(f"{path}:{lines.line_num}: expected picture{delimiter}caption, found {columns}")
            captions_of[columns[0].strip()].append(columns[-1].strip())
    for picture in sorted(captions_of):
        if chosen is None or Path(picture).stem in chosen:
            yield TableRow(Path(picture).stem, picture, {"captions": captions_of[picture]})
