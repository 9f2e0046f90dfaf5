"""Whatever the number of ranks, a step of as many rows has the same rows, none twice, and an epoch ends with a step."""

import pytest
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler

from ullava.tasks.mixture import Mixture, MixtureEntry
from ullava.training.train_dataset import PositionSampler

STEP = 8


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    return Mixture([MixtureEntry(range(14), None), MixtureEntry(range(7), None)], seed=3)  # 21 rows an epoch


def fed(mixture: Mixture, ranks: int, epoch: int) -> list[list[tuple[int, int]]]:
    """The places of each step, of all ranks together, as accelerate shares them out."""
    shares = []
    for rank in range(ranks):
        places = PositionSampler(mixture, STEP)
        places.set_epoch(epoch)
        shares.append(list(BatchSamplerShard(BatchSampler(places, STEP // ranks, False), ranks, rank)))
    return [[place for part in step for place in part] for step in zip(*shares, strict=True)]


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_share_what_one_process_gets(mixture, ranks):
    for epoch in range(3):
        assert fed(mixture, ranks, epoch) == fed(mixture, 1, epoch)


@pytest.mark.parametrize("ranks", [1, 2])
def test_no_row_comes_twice_and_none_is_left_out(mixture, ranks):
    stream = [place for epoch in range(3) for step in fed(mixture, ranks, epoch) for place in step]
    assert stream == [(epoch, k) for epoch in range(4) for k in range(21)][: 3 * 24]


def test_two_bites_are_one_step(mixture):
    bites = list(BatchSampler(PositionSampler(mixture, STEP), STEP // 2, False))
    assert [one + other for one, other in zip(bites[::2], bites[1::2], strict=True)] == fed(mixture, 1, 0)
