"""The contract of a reader: a sequence of samples, one class per annotation FORMAT."""

from abc import abstractmethod
from collections.abc import Sequence

from ullava.configs.registry import Registry
from ullava.datasets.structures import Sample

READERS = Registry("reader")


class Reader(Sequence[Sample]):
    """Reads one annotation format. `__getitem__` states facts; it never decodes a picture's pixels or a mask.

    Options of a catalogue entry are the constructor's arguments; relative paths arrive resolved.
    """

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    @abstractmethod
    def __len__(self) -> int: ...
