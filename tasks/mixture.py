"""The training mixture: which dataset is asked by which task, and how often.

Everything is a pure function of (seed, epoch, position): the same on every rank and in every worker, whatever was read
before, and a resumed run goes on exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ullava.datasets.mirror import mirror
from ullava.datasets.readers.base import Reader
from ullava.datasets.structures import Dialogue
from ullava.tasks.base import Task

PASS, ORDER, DRAW, SPARE, MIRROR = range(5)  # what a random stream is for, so that no two streams are the same


@dataclass(frozen=True, slots=True)
class MixtureEntry:
    """One line of the mixture.

    Attributes:
        reader: the dataset's samples.
        task: writes a dialogue about each of them.
        portion: passes over the samples per epoch; 0.5 takes half of them, 2.0 each twice.
        mirror: whether half of the samples are seen as in a mirror.
    """

    reader: Reader
    task: Task
    portion: float = 1.0
    mirror: bool = False


class Mixture:
    """Rows as one shuffled sequence per epoch.

    Each row has an endless sequence of its records, a fresh permutation for every pass, and epochs are cut from it one
    after the other: two epochs at a portion of 0.5 are one pass, and two at 2.5 ask about each record five times.

    Example:
        mixture = Mixture([MixtureEntry(refcoco, TASKS["res"]()), MixtureEntry(refcoco, TASKS["rec"](), 0.5)], seed=42)
        dialogues = [mixture[epoch, k] for k in range(mixture.size(epoch))]
    """

    def __init__(self, rows: Sequence[MixtureEntry], seed: int = 0):
        """
        Raises:
            ValueError: a row without records, a portion that is not above 0, or an empty first epoch.
        """
        self.rows, self.seed = tuple(rows), seed
        for i, row in enumerate(self.rows):
            if not len(row.reader) or not row.portion > 0:
                description = f"{len(row.reader)} records at portion {row.portion}"
                raise ValueError(f"data[{i}]: expected records and a portion above 0, found {description}")
        if not self.size(0):
            raise ValueError("data: the portions leave no record for the first epoch; raise one")
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def size(self, epoch: int) -> int:
        """Returns the number of dialogues in an epoch; fractional portions make it differ by one an entry."""
        return sum(len(span(len(row.reader), row.portion, epoch)) for row in self.rows)

    def __getitem__(self, place: tuple[int, int]) -> Dialogue:
        """Writes the dialogue at (epoch, position)."""
        return self.dialogue(place, self.place(*place)[1])

    def dialogue(self, place: tuple[int, int], record: int) -> Dialogue:
        """Writes the dialogue at (epoch, position) about `record` of its entry, in place of the record drawn for it."""
        row = self.rows[self.row_of(*place)]
        sample = row.reader[record]
        if row.mirror and self._rng(MIRROR, *place).random() < 0.5:
            sample = mirror(sample)
        return row.task.dialogue(sample, self._rng(DRAW, *place))

    def spares(self, place: tuple[int, int], count: int) -> list[int]:
        """Returns `count` records of the same entry that replace, in turn, a bad record at (epoch, position)."""
        reader = self.rows[self.row_of(*place)].reader
        return self._rng(SPARE, *place).integers(len(reader), size=count).tolist()

    def row_of(self, epoch: int, position: int) -> int:
        """Index of the row that the dialogue comes from."""
        return self.place(epoch, position)[0]

    def place(self, epoch: int, position: int) -> tuple[int, int]:
        """(row, record of its reader) of a dialogue."""
        rows, records = self._epochs.get(epoch) or self._epoch(epoch)
        if not 0 <= position < len(rows):
            raise IndexError(f"epoch {epoch} has {len(rows)} dialogues, none at {position}")
        return int(rows[position]), int(records[position])

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(row, record) at each position, kept until another epoch is asked for."""
        records = [self._records(i, epoch) for i in range(len(self.rows))]
        rows = np.repeat(np.arange(len(self.rows), dtype=np.int32), [len(part) for part in records])
        order = self._rng(ORDER, epoch).permutation(len(rows))
        self._epochs = {epoch: (rows[order], np.concatenate(records)[order])}
        return self._epochs[epoch]

    def _records(self, row: int, epoch: int) -> np.ndarray:
        """A row's records in an epoch: a stretch of its endless sequence."""
        count = len(self.rows[row].reader)
        stretch = span(count, self.rows[row].portion, epoch)
        if not stretch:
            return np.empty(0, int)
        first, last = stretch[0] // count, stretch[-1] // count
        passes = [self._rng(PASS, row, turn).permutation(count) for turn in range(first, last + 1)]
        return np.concatenate(passes)[stretch.start - first * count : stretch.stop - first * count]

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *stream))


def span(count: int, portion: float, epoch: int) -> range:
    """The stretch of the endless sequence of `count` records a pass that an epoch takes."""
    return range(round(epoch * count * portion), round((epoch + 1) * count * portion))
