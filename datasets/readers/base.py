"""The contract of a reader: a sequence of samples, one class per annotation FORMAT."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from ullava.configs.registry import Registry
from ullava.datasets.structures import Sample
from ullava.datasets.tables import Table

READERS = Registry("reader")


class Reader(Sequence[Sample]):
    """Reads one annotation format. `__getitem__` states facts; it never decodes a picture's pixels or a mask.

    Options of a catalogue entry are the constructor's arguments, after `name`, the dataset's name, with which the ids
    of its samples begin; relative paths arrive resolved. Readers are frozen dataclasses: small to send to a worker.
    """

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    @abstractmethod
    def __len__(self) -> int: ...


class TableReader(Reader):
    """A reader whose records are the rows of one table."""

    @cached_property
    @abstractmethod
    def table(self) -> Table:
        """The table, opened when it is first asked for."""

    def __len__(self) -> int:
        return len(self.table)


def inside(root: Path, relative: str, where: str) -> Path:
    """Joins a path that an annotation file gives to the folder it counts from. Every reader joins here and only here.

    Raises:
        ValueError: the path is absolute or leads out of `root`.
    """
    inner = os.path.normpath(relative)
    if os.path.isabs(inner) or inner.split(os.sep)[0] in ("..", "."):
        raise ValueError(f"{where}: {relative!r} leads out of {root}; expected a path below it")
    return root / inner


def by_stem(folder: Path) -> dict[str, Path]:
    """Files of a folder by name without suffix, sorted.

    Raises:
        ValueError: two files differ in their suffix only.
    """
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        if path.stem in found:
            raise ValueError(f"{folder}: {found[path.stem].name} and {path.name} have one stem; which is meant?")
        found[path.stem] = path
    return found
