"""TGIF's sentences about GIFs, as published: a table of addresses and sentences (arXiv:1604.02748).

The GIFs are fetched by whoever owns the table (github.com/raingo/TGIF-Release); a file is called as its address ends.

    https://38.media.tumblr.com/abc/tumblr_xyz.gif<TAB>a man pours tea
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Sample, Turn, Video
from ullava.datasets.tables import Table, TableRow, open_table


@READERS.register("tgif")
@dataclass(frozen=True)
class Tgif(TableReader):
    """One sample per GIF, all its sentences (one in train, two or three in test) in one turn without a question.

    Args:
        annotations: tgif-v1.0.tsv: address, tab, sentence.
        videos: folder of the GIFs.
        listed: data/splits/{train,val,test}.txt, one address a line; None: all.
    """

    name: str
    annotations: Path
    videos: Path
    listed: Path | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations, *([self.listed] if self.listed else []))

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, sentences = f"{self.name}/{row.id}", tuple(row.facts["sentences"])
        video = Video(inside(self.videos, row.picture, sample_id))
        return Sample(sample_id, (video,), turns=(Turn("", sentences[0], sentences),))


def rows(path: Path, listed: Path | None = None) -> Iterator[TableRow]:
    """One row per GIF, in the order of the table."""
    chosen = {file_of(line) for line in listed.read_text(encoding="utf-8").split()} if listed else None
    sentences_of = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        address, tab, sentence = line.partition("\t")
        if not tab:
            raise ValueError(f"{path}:{number}: expected an address, a tab and a sentence, found {line[:60]!r}")
        if chosen is None or file_of(address) in chosen:
            sentences_of[file_of(address)].append(sentence.strip())
    for file, sentences in sentences_of.items():
        yield TableRow(Path(file).stem, file, {"sentences": sentences})


def file_of(address: str) -> str:
    """Name of the file at an address."""
    return urlsplit(address.strip()).path.rpartition("/")[2]
