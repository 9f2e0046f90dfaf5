"""Rates are exact shares of an epoch, and keep whatever the mixture promises."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullava.configs.schema import DataRow, SamplingConfig
from ullava.tasks.mixture import Mixture, MixtureEntry
from ullava.tasks.rates import apportion, portions, sampling_faults


class Echo:
    """Says which record it was asked about."""

    def dialogue(self, sample, rng):
        return sample


def rows(*families, **changes):
    return [DataRow(dataset=f"set{n}", task="res", family=family, **changes) for n, family in enumerate(families)]


def sampling(*rates, samples):
    return SamplingConfig(rates=rates, samples_per_epoch=samples)


LISA = rows(*["sem_seg"] * 5, *["refer_seg"] * 4, "vqa", "reason_seg")  # LISA, train_ds.py: --dataset and its defaults


def test_lisas_families_share_by_rate_and_their_sets_alike():
    # 16 parts of 80000 are 5000 each: 45000 for 5 sets, 15000 for 4 sets, 15000, 5000.
    assert apportion(LISA, sampling(9, 3, 3, 1, samples=80000)) == [9000] * 5 + [3750] * 4 + [15000, 5000]


def test_sets_of_a_family_may_differ():
    data = [row.model_copy(update={"rate": rate}) for row, rate in zip(rows(*"aaaaa"), (6, 3, 2, 2, 1), strict=True)]
    assert apportion(data, sampling(1, samples=28)) == [12, 6, 4, 4, 2]  # LaSagnA's 6:3:2:2:1


def test_rows_without_a_family_are_one_each():
    assert apportion(rows(None, None), sampling(3, 1, samples=8)) == [6, 2]


def test_what_is_left_over_goes_to_the_largest_remainders():
    assert apportion(rows(None, None, None), sampling(5, 3, 2, samples=7)) == [4, 2, 1]  # 3.5, 2.1, 1.4


def test_families_need_not_stand_together():
    assert apportion(rows("a", "b", "a"), sampling(1, 1, samples=8)) == [2, 4, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.1, 9)), min_size=1, max_size=6),
    st.integers(40, 400),
    st.integers(0, 2**32 - 1),
)
def test_every_epoch_has_its_size_and_each_row_its_share(sets, samples, seed):
    data, how = rows(*[None] * len(sets)), sampling(*(rate for _, rate in sets), samples=samples)
    if list(sampling_faults(data, how)):
        return
    counts = [count for count, _ in sets]
    passes = portions(data, how, counts)
    mixture = Mixture(
        [MixtureEntry(range(n), Echo(), portion) for n, portion in zip(counts, passes, strict=True)], seed
    )
    for epoch in range(3):
        assert mixture.size(epoch) == samples
        drawn = Counter(mixture.row_of(epoch, k) for k in range(samples))
        assert [drawn[row] for row in range(len(sets))] == apportion(data, how)


def test_no_record_waits_while_another_comes_twice():
    data, how = rows("a", "b"), sampling(1, 3, samples=8)
    mixture = Mixture([MixtureEntry(range(5), Echo(), portion) for portion in portions(data, how, [5, 5])])
    seen = {0: Counter(), 1: Counter()}
    for epoch in range(5):
        for k in range(8):
            seen[mixture.row_of(epoch, k)][mixture[epoch, k]] += 1
    # 5 epochs of 2 and of 6 draws from 5 records: 2 and 6 times each
    assert seen == {0: Counter(dict.fromkeys(range(5), 2)), 1: Counter(dict.fromkeys(range(5), 6))}


def test_any_stretch_of_an_epoch_is_mixed():
    data, how = rows("a", "b"), sampling(9, 1, samples=1000)
    mixture = Mixture([MixtureEntry(range(50), Echo(), portion) for portion in portions(data, how, [50, 50])])
    first = [mixture.row_of(0, k) for k in range(200)]
    assert 5 < first.count(1) < 40  # 20 expected


@pytest.mark.parametrize(
    ("data", "how", "fault"),
    [
        (rows("a"), None, "data[0].family: says nothing without `sampling:`"),
        (rows(None, rate=2), None, "data[0].rate: says nothing without `sampling:`"),
        (rows("a", portion=2), sampling(1, samples=9), "data[0].portion: says nothing beside `sampling:`; take `rate`"),
        (rows("a", None), sampling(1, samples=9), "sampling.rates: expected 2, one each for a, data[1]; found 1"),
        (rows(None, None), sampling(99, 1, samples=9), "data[1]: gets none of the 9 samples of an epoch; raise its"),
    ],
)
def test_what_does_not_fit_is_said(data, how, fault):
    (found,) = sampling_faults(data, how)
    assert found.startswith(fault)
    with pytest.raises(ValueError, match=fault[:10].replace("[", r"\[")):
        portions(data, how, [5] * len(data))


def test_without_sampling_portions_are_as_written():
    assert portions(rows(None, None, portion=0.5), None, [3, 4]) == [0.5, 0.5]
