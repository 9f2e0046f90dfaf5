"""The Trainer's dataset and sampler: positions in the mixture in order, and the row at each."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

from torch.utils.data import Dataset, Sampler

from ullava.datasets.structures import Dialogue
from ullava.models.batching.processor import Example, Processor
from ullava.tasks.mixture import Mixture
from ullava.training.bad_samples import Quarantine


class PositionSampler(Sampler):
    """Yields (epoch, position), so that data workers need no epoch of their own.

    The mixture's epochs, one after the other, are cut into stretches of equal length, a whole number of optimizer steps
    each: what an epoch lacks for its last step comes from the next one, and is not repeated there. So ranks get equally
    many rows, none twice, and as long as a step has as many rows they get the same ones, however many ranks there are.

    Args:
        step: rows of an optimizer step, of all ranks together.
    """

    def __init__(self, mixture: Mixture, step: int = 1):
        self.mixture, self.epoch, self.length = mixture, 0, -(-mixture.size(0) // step) * step

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer when an epoch begins."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, skip = 0, self.epoch * self.length
        while skip >= self.mixture.size(epoch):
            skip -= self.mixture.size(epoch)
            epoch += 1
        stream = ((e, k) for e in count(epoch) for k in range(self.mixture.size(e)))
        return islice(stream, skip, skip + self.length)

    def __len__(self) -> int:
        return self.length


class TrainDataset(Dataset):
    """(epoch, position) -> the row that is there.

    Args:
        quarantine: what to do about a sample that cannot be used; None stops at it.
    """

    def __init__(self, mixture: Mixture, processor: Processor, quarantine: Quarantine | None = None):
        self.mixture, self.processor, self.quarantine = mixture, processor, quarantine

    def __len__(self) -> int:  # the Trainer counts the steps of an epoch with it
        return self.mixture.size(0)

    def __getitem__(self, place: tuple[int, int]) -> Example:
        return replace(self.write(place)[1], place=place)

    def write(self, place: tuple[int, int]) -> tuple[Dialogue, Example]:
        """Writes the dialogue at a place, and its row."""
        if self.quarantine:
            return self.quarantine.sound(self.mixture, place, self.processor)
        dialogue = self.mixture[place]
        return dialogue, self.processor(dialogue)
