"""LISA's way to mix: families of datasets drawn by rate, and sets within a family (arXiv:2308.00692; utils/dataset.py).

LISA draws family, set and record anew for every sample, with replacement: an epoch asks about some records twice and
about others never. Here rates say how many of an epoch's samples each row gives, to the nearest whole number, and each
row goes on through its endless permutation of records. So rates are another way of writing portions, and whatever the
mixture promises of those holds for them: any stretch of an epoch is drawn by the rates, the same on every rank and in
every worker, and a resumed run goes on exactly.

    sampling: {rates: [9, 3, 3, 1], samples_per_epoch: 80000}
    data:
      - {dataset: ade20k_train, task: semantic, family: sem_seg}
      - {dataset: cocostuff_train, task: semantic, family: sem_seg, rate: 2}     # twice as often as ade20k
      - {dataset: refcoco_train, task: res, family: refer_seg}
      - {dataset: llava_instruct_150k, task: vqa}                                # a family by itself
      - {dataset: reason_seg_train, task: reasoning}
"""

from collections.abc import Iterator, Sequence
from math import floor

from ullava.configs.schema import DataRow, SamplingConfig


def portions(data: Sequence[DataRow], sampling: SamplingConfig | None, records: Sequence[int]) -> list[float]:
    """Each row's passes over its dataset per epoch, for datasets of so many `records`.

    Raises:
        ValueError: what `sampling_faults` says.
    """
    if faults := list(sampling_faults(data, sampling)):
        raise ValueError("\n".join(faults))
    if sampling is None:
        return [row.portion for row in data]
    return [draws / max(count, 1) for draws, count in zip(apportion(data, sampling), records, strict=True)]


def apportion(data: Sequence[DataRow], sampling: SamplingConfig) -> list[int]:
    """How many of an epoch's samples each row gives; what whole numbers leave over goes to the largest remainders."""
    names = families(data)
    rates = dict(zip(dict.fromkeys(names), sampling.rates, strict=True))
    within = dict.fromkeys(names, 0.0)  # family -> the sum of its rows' rates
    for name, row in zip(names, data, strict=True):
        within[name] += row.rate
    scale = sampling.samples_per_epoch / sum(rates.values())
    exact = [scale * rates[name] * row.rate / within[name] for name, row in zip(names, data, strict=True)]
    draws = [floor(share) for share in exact]
    left = sampling.samples_per_epoch - sum(draws)
    for row in sorted(range(len(exact)), key=lambda row: draws[row] - exact[row])[:left]:
        draws[row] += 1
    return draws


def families(data: Sequence[DataRow]) -> list[str]:
    """The family of each row; one without a family is one by itself."""
    return [row.family or f"data[{number}]" for number, row in enumerate(data)]


def sampling_faults(data: Sequence[DataRow], sampling: SamplingConfig | None) -> Iterator[str]:
    """Yields what does not fit together: keys of the other way to mix, too many or too few rates, rows never drawn."""
    if sampling is None:
        for number, row in enumerate(data):
            if row.family is not None or row.rate != 1:
                key = "rate" if row.family is None else "family"
                yield f"data[{number}].{key}: says nothing without `sampling:`; add that, or take `portion` instead"
        return
    for number, row in enumerate(data):
        if row.portion != 1:
            yield f"data[{number}].portion: says nothing beside `sampling:`; take `rate` instead"
    names = list(dict.fromkeys(families(data)))
    if len(names) != len(sampling.rates):
        yield f"sampling.rates: expected {len(names)}, one each for {', '.join(names)}; found {len(sampling.rates)}"
        return
    for number, draws in enumerate(apportion(data, sampling)):
        if not draws:
            yield (
                f"data[{number}]: gets none of the {sampling.samples_per_epoch} samples of an epoch; raise its rate, "
                "or sampling.samples_per_epoch"
            )
