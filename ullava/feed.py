"""What the Trainer is fed: places of the mixture in order, and the row at each."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

from torch.utils.data import Dataset, Sampler

from ullava.models.processor import Processor, Row
from ullava.tasks.mixture import Mixture


class Places(Sampler):
    """Yields (epoch, position): with them, workers need to know nothing of time.

    The mixture's epochs, one after the other, are cut into stretches of equal length: portions that cut a record in two
    let epochs differ by a few places, and the Trainer counts its steps once.
    """

    def __init__(self, mixture: Mixture):
        self.mixture, self.epoch, self.length = mixture, 0, mixture.size(0)

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


class Rows(Dataset):
    """(epoch, position) -> the row that is there."""

    def __init__(self, mixture: Mixture, processor: Processor):
        self.mixture, self.processor = mixture, processor

    def __len__(self) -> int:  # the Trainer counts the steps of an epoch with it
        return self.mixture.size(0)

    def __getitem__(self, place: tuple[int, int]) -> Row:
        return replace(self.processor(self.mixture[place]), place=place)
