"""Portions are passes, and everything is a pure function of (seed, epoch, position)."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullava.datasets.structures import Picture, Sample
from ullava.tasks.mixture import Mixture, MixtureEntry


@dataclass(frozen=True)
class Echo:
    """Answers with what it was asked about, and with one random number."""

    name: str

    def dialogue(self, sample, rng):
        return self.name, sample, int(rng.integers(1 << 40))


def mix(*rows, seed=0):
    return Mixture([MixtureEntry(range(count), Echo(name), portion) for name, count, portion in rows], seed)


def epoch_of(mixture, epoch):
    return [mixture[epoch, k] for k in range(mixture.size(epoch))]


def records(mixture, epoch, name):
    return Counter(record for task, record, _ in epoch_of(mixture, epoch) if task == name)


def test_a_portion_is_that_many_passes():
    mixture = mix(("once", 7, 1.0), ("twice", 10, 2.0), ("half", 10, 0.5))
    assert mixture.size(0) == 7 + 20 + 5
    assert records(mixture, 0, "once") == Counter(range(7))
    assert records(mixture, 0, "twice") == Counter({i: 2 for i in range(10)})
    assert len(records(mixture, 0, "half")) == 5  # five different ones


def test_two_epochs_at_a_half_are_one_pass():
    mixture = mix(("half", 7, 0.5))
    assert [mixture.size(epoch) for epoch in range(4)] == [4, 3, 3, 4]  # cut at 0, 3.5, 7, 10.5, 14; halves to even
    assert records(mixture, 0, "half") + records(mixture, 1, "half") == Counter(range(7))
    assert records(mixture, 2, "half") + records(mixture, 3, "half") == Counter(range(7))


def test_two_epochs_at_two_and_a_half_are_five_passes():
    mixture = mix(("often", 9, 2.5))
    assert records(mixture, 0, "often") + records(mixture, 1, "often") == Counter({i: 5 for i in range(9)})


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.floats(0.05, 3.0), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_no_record_comes_twice_more_than_another(count, portion, epochs, seed):
    mixture = Mixture([MixtureEntry(range(count), Echo("a"), portion), MixtureEntry(range(1), Echo("b"))], seed)
    seen = sum((records(mixture, epoch, "a") for epoch in range(epochs + 1)), Counter())
    counts = [seen[i] for i in range(count)]
    assert sum(counts) == round((epochs + 1) * count * portion)
    assert max(counts) - min(counts) <= 1


def test_the_answer_does_not_depend_on_what_was_read_before():
    rows = ("a", 11, 1.5), ("b", 5, 0.4)
    once, again = mix(*rows), mix(*rows)
    places = [(epoch, k) for epoch in range(3) for k in range(once.size(epoch))]
    expected = {place: once[place] for place in places}
    shuffled = [places[i] for i in np.random.default_rng(1).permutation(len(places))]
    assert {place: again[place] for place in shuffled} == expected


def test_epochs_and_seeds_differ_in_order_and_in_draws():
    base, other = mix(("a", 50, 1.0)), mix(("a", 50, 1.0), seed=1)
    first, second, third = epoch_of(base, 0), epoch_of(base, 1), epoch_of(other, 0)
    for one, two in ((first, second), (first, third)):
        assert [record for _, record, _ in one] != [record for _, record, _ in two]
        assert not {draw for _, _, draw in one} & {draw for _, _, draw in two}


def test_a_pass_is_a_fresh_permutation_also_within_an_epoch():
    mixture = mix(("half", 40, 0.5))
    assert records(mixture, 0, "half") != records(mixture, 2, "half")


def test_rows_are_shuffled_together_and_say_where_they_come_from():
    mixture = mix(("a", 40, 1.0), ("b", 40, 1.0))
    rows = [mixture.row_of(0, k) for k in range(80)]
    assert rows.count(0) == 40 and rows != sorted(rows)
    assert ["ab"[row] for row in rows] == [task for task, _, _ in epoch_of(mixture, 0)]


def test_one_dataset_may_be_asked_two_tasks():
    mixture = mix(("res", 6, 1.0), ("rec", 6, 0.5))
    assert sum(records(mixture, 0, "res").values()) == 6 and sum(records(mixture, 0, "rec").values()) == 3


def test_an_epoch_of_a_million_is_quick():
    mixture = mix(("big", 1_000_000, 1.0))
    assert mixture.place(0, 999_999) == mixture.place(0, 999_999)


@pytest.mark.parametrize("count, portion", [(0, 1.0), (4, 0.0), (4, float("nan")), (4, 0.01)])
def test_nothing_to_train_on_is_an_error(count, portion):
    with pytest.raises(ValueError, match="data"):
        mix(("a", count, portion))


def test_a_position_beyond_the_epoch_is_an_error():
    with pytest.raises(IndexError, match="epoch 1 has 3 dialogues, none at 3"):
        mix(("a", 3, 1.0))[1, 3]


def test_a_row_that_mirrors_shows_half_of_its_samples_so():
    samples = [Sample(f"toy/{n}", (Picture(Path(f"{n}.png")),)) for n in range(200)]
    plain, mirrored = (Mixture([MixtureEntry(samples, Echo("a"), 2.0, mirror)]) for mirror in (False, True))
    shown = [sample.media[0].mirrored for _, sample, _ in epoch_of(mirrored, 0)]
    assert 160 < sum(shown) < 240  # of 400; six standard deviations are 60
    assert shown == [sample.media[0].mirrored for _, sample, _ in epoch_of(mirrored, 0)]
    drawn = [[(sample.id, number) for _, sample, number in epoch_of(mixture, 0)] for mixture in (plain, mirrored)]
    assert drawn[0] == drawn[1]  # and nothing else changes


def test_spares_are_drawn_from_a_stream_of_their_own():
    """Resumed runs and other ranks read the same ones, and what a task draws at a place says nothing about them."""
    mixture = mix(("a", 40, 1.0), ("b", 1000, 1.0), seed=7)
    place = next(k for k in range(1040) if mixture.row_of(2, k) == 1)
    spares = mixture.spares((2, place), 8)
    # The fourth of the streams that `mixture` lists, of (seed, stream, epoch, position), over the records of row b.
    assert spares == np.random.default_rng((7, 3, 2, place)).integers(1000, size=8).tolist()
    assert mixture.spares((2, place), 8) == spares and mixture.spares((2, place), 3) == spares[:3]
    for stream in (0, 1, 2, 4):
        assert spares != np.random.default_rng((7, stream, 2, place)).integers(1000, size=8).tolist()
    other = next(k for k in range(place + 1, 1040) if mixture.row_of(2, k) == 1)
    assert mixture.spares((2, other), 8) != spares


def test_spares_are_records_of_the_same_row():
    mixture = mix(("few", 3, 100.0), ("many", 300, 1.0))
    few = [k for k in range(600) if mixture.row_of(0, k) == 0]
    assert {spare for k in few for spare in mixture.spares((0, k), 2)} == {0, 1, 2}
