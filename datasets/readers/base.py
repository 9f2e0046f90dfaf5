"""The contract of a reader: a sequence of samples, one class per annotation FORMAT."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ullava.configs.registry import Registry
from ullava.datasets.structures import Sample
from ullava.datasets.tables import Table

READERS: Registry[type["Reader"]] = Registry("reader")


class Reader(Sequence[Sample]):
    """Reads one annotation format. `__getitem__` states facts; it never decodes a picture's pixels or a mask.

    Options of a catalogue entry are the constructor's arguments, after `name`, the dataset's name, with which the ids
    of its samples begin; relative paths arrive resolved. Readers are frozen dataclasses: small to send to a worker.

    Attributes:
        name: of the dataset; of the class, under which it is registered.
        decodes: whether a sample costs the decoding of a picture of labels. Who only counts asks for `shown`.
    """

    name: str
    decodes: ClassVar[bool] = False

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    @abstractmethod
    def __len__(self) -> int: ...

    def shown(self, index: int) -> tuple[Path, ...]:
        """Files of a record's pictures and videos. A reader that looks into files for a sample gives them without."""
        return tuple(medium.path for medium in self[index].media)


class Excerpt(Reader):
    """Some samples of another reader, in its order.

    Attributes:
        reader: the whole.
        indices: places in the whole.
    """

    reader: Reader
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.reader[self.indices[index]]

    @property
    def decodes(self) -> bool:
        return self.reader.decodes

    def shown(self, index: int) -> tuple[Path, ...]:
        return self.reader.shown(self.indices[index])


class TableReader(Reader):
    """A reader whose records are the rows of one table."""

    @cached_property
    @abstractmethod
    def table(self) -> Table:
        """The table, opened when it is first asked for."""

    def __len__(self) -> int:
        return len(self.table)
