"""Parts of a dataset: a held-out split where it publishes none, every n-th picture in the order of names; a beginning.

Of a split the files in the folder are counted, not the records: so two readers of one folder, such as captions and
objects of the same pictures, hold out the same ones.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.exclude import UNREADABLE
from ullava.datasets.readers.base import Excerpt, Reader

PARTS = ("train", "held_out")


@dataclass(frozen=True)
class Part(Excerpt):
    """The samples of one part of a reader. All samples of one picture or video are in one part.

    A record that cannot be read is in both, and says so when it is asked for: nobody knows what it shows.

    Args:
        reader: the whole; each of its samples has a picture or video.
        every: the 5th, 10th, ... file of the folder is held out.
        part: "held_out", or "train" for all others.
    """

    reader: Reader
    every: int
    part: str

    @cached_property
    def indices(self) -> list[int]:
        """Places in the whole, in its order."""
        files = [self.file_of(index) for index in range(len(self.reader))]
        held_out = {path for folder in {path.parent for path in files if path} for path in self.held_out(folder)}
        wanted = self.part == "held_out"
        return [index for index, path in enumerate(files) if path is None or (path in held_out) == wanted]

    def file_of(self, index: int) -> Path | None:
        """The file of a record's first picture or video; None where the record cannot be read."""
        try:
            files = self.reader.shown(index)
        except UNREADABLE:
            return None
        if not files:
            where = self.reader[index].id
            raise ValueError(f"{where}: no picture; `every` holds out pictures and videos only")
        return files[0]

    def held_out(self, folder: Path) -> list[Path]:
        """Every n-th file of a folder; none of a missing folder, whose records raise when they are read."""
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))[self.every - 1 :: self.every]


@dataclass(frozen=True)
class Beginning(Excerpt):
    """The first samples of a reader, all where it has fewer: what a model has to be able to learn by heart.

    Args:
        count: at most this many, 1 or more.
    """

    reader: Reader
    count: int

    @property
    def indices(self) -> range:
        """Places in the whole: the first ones."""
        return range(min(len(self.reader), self.count))
