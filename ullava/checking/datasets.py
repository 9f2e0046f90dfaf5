"""Looks at every record of a YAML's datasets, in parallel, and at what only all of them show: ids, leaks, balance."""

import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from ullava.checking.data_issues import DataIssue, once
from ullava.checking.records import Inspector, Looked
from ullava.checking.row_checks import Count, Opened
from ullava.configs.plugins import load_plugins
from ullava.configs.schema import DataRow
from ullava.datasets.exclude import Pictures
from ullava.models.batching.processor import Processor

Depth = Literal["paths", "sample", "all"]
DEPTHS = ("paths", "sample", "all")
CHUNK = 16  # records that a process takes at once


@dataclass(frozen=True)
class Inspected:
    """One row of the YAML, looked at.

    Attributes:
        looked: one for each record, in order.
    """

    opened: Opened
    inspector: Inspector
    looked: tuple[Looked, ...]

    @cached_property
    def paths(self) -> set[Path]:
        """Paths of all pictures and videos."""
        return {path for record in self.looked for path in record.paths}

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each dialogue that was written, (N,)."""
        return np.array([record.length for record in self.looked if record.length is not None], int)

    @property
    def count(self) -> Count:
        """What the dataset holds."""
        lost = tuple(sorted(path for path in self.paths if not path.exists()))
        phrases, turns = (sum(getattr(record, key) for record in self.looked) for key in ("phrases", "turns"))
        return Count(len(self.looked), len(self.paths), phrases, turns, lost)

    @property
    def sound(self) -> Iterator[int]:
        """Numbers of the records that were looked at whole and hold no fault, in order."""
        return (record.number for record in self.looked if record.deep and not record.issues)


def inspect(
    opened: Sequence[Opened], processor: Processor | None, *, depth: Depth = "all", sample: int = 100, workers: int = 0
) -> list[Inspected]:
    """Looks at every record of every row.

    Args:
        processor: as the model would have it; None where its folders are not here, and no length is known.
        depth: paths: nothing is decoded; sample: `sample` records of each row, evenly spread; all: every one.
        workers: processes that look; below 2 this one does.
    """
    inspectors = [Inspector(row.row, row.reader, row.task, processor) for row in opened]
    wholes = [deeper(len(row.reader), depth, sample) for row in opened]
    jobs = [(row, number, bool(deep)) for row, whole in enumerate(wholes) for number, deep in enumerate(whole)]
    looked_by_row: list[list[Looked]] = [[] for _ in opened]
    bar = tqdm(total=len(jobs), desc="checking", unit="record", mininterval=1, leave=False)
    with bar:
        for (row, _, _), looked in zip(jobs, spread(inspectors, jobs, workers), strict=True):
            looked_by_row[row].append(looked)
            bar.update()
    inspected = [Inspected(*trio) for trio in zip(opened, inspectors, map(tuple, looked_by_row), strict=True)]
    return [replace(dataset, opened=replace(dataset.opened, count=dataset.count)) for dataset in inspected]


def deeper(records: int, depth: Depth, sample: int) -> np.ndarray:
    """Which records are looked at whole, (records,) bool."""
    if depth != "sample" or sample >= records:
        return np.full(records, depth != "paths")
    chosen = np.zeros(records, bool)
    chosen[np.linspace(0, records - 1, sample).round().astype(int)] = True
    return chosen


def spread(inspectors: Sequence[Inspector], jobs: Sequence[tuple[int, int, bool]], workers: int) -> Iterator[Looked]:
    """Yields what each job (row, record, deep) finds, in the order of jobs."""
    if workers < 2:
        yield from (inspectors[row](number, deep) for row, number, deep in jobs)
        return
    ways = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in ways else None)  # a fork shares what is open
    with context.Pool(workers, begin, (inspectors,)) as pool:
        yield from pool.imap(look, jobs, chunksize=CHUNK)


INSPECTORS: list[Inspector] = []  # of a worker process, given once


def begin(inspectors: Sequence[Inspector]) -> None:
    """Gives the inspectors to a worker process."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a fork must not wait for threads that it does not have
    load_plugins()  # a spawned worker has imported nothing yet
    INSPECTORS[:] = inspectors


def look(job: tuple[int, int, bool]) -> Looked:
    """Does one job in a worker process."""
    row, number, deep = job
    return INSPECTORS[row](number, deep)


def issues(inspected: Sequence[Inspected]) -> list[DataIssue]:
    """Lists every issue once: of single records, of repeated ids, and of pictures both trained on and evaluated."""
    alone = (issue for dataset in inspected for looked in dataset.looked for issue in looked.issues)
    return once(chain(alone, *map(duplicates, inspected), leaks(inspected)))


def duplicates(dataset: Inspected) -> Iterator[DataIssue]:
    """Yields ids that stand twice in a dataset: messages and scores could not tell which is meant."""
    places: dict[str, list[int]] = {}
    for looked in dataset.looked:
        if looked.id is not None:
            places.setdefault(looked.id, []).append(looked.number)
    for name, numbers in places.items():
        if len(numbers) > 1:
            shown = ", ".join(map(str, numbers[:5]))
            yield DataIssue(
                "duplicate", dataset.opened.row.dataset, name, f"{len(numbers)} records have this id: {shown}"
            )


def leaks(inspected: Sequence[Inspected]) -> Iterator[DataIssue]:
    """Yields records of `data` that show a picture of `evaluate`."""
    trained = [dataset for dataset in inspected if isinstance(dataset.opened.row, DataRow)]
    evaluated = {
        dataset.opened.row.dataset: dataset for dataset in inspected if not isinstance(dataset.opened.row, DataRow)
    }
    for name, other in evaluated.items():
        known = Pictures(other.paths)
        for dataset in trained:
            shared = {path: seen for path in dataset.paths if (seen := known.find(path))}
            readable = ((looked.id, looked.paths) for looked in dataset.looked if looked.id is not None)
            for record, path in ((record, path) for record, paths in readable for path in paths):
                if path in shared:
                    message = f"{path.name} is evaluated in {name}, too ({shared[path]}); exclude: [{name}]"
                    yield DataIssue("leak", dataset.opened.row.dataset, record, message)


def balance(inspected: Sequence[Inspected], draws: Sequence[int]) -> tuple[dict[str, int], dict[str, float]]:
    """Counts what an epoch draws: task -> dialogues, and class -> regions shown, each in falling order.

    Args:
        draws: dialogues that an epoch takes from each row of `data`.
    """
    tasks: Counter[str] = Counter()
    classes: dict[str, float] = defaultdict(float)
    trained = [dataset for dataset in inspected if isinstance(dataset.opened.row, DataRow)]
    for dataset, count in zip(trained, draws, strict=True):
        tasks[dataset.opened.row.task] += count
        for name, regions in flat(dataset.looked):
            classes[name] += regions * count / len(dataset.looked)
    return dict(tasks.most_common()), dict(sorted(classes.items(), key=lambda item: -item[1]))


def flat(looked: Iterable[Looked]) -> Iterator[tuple[str, int]]:
    """Yields every (class, regions) of every record."""
    return chain.from_iterable(record.classes for record in looked)


def share_over(inspected: Inspected, most: int) -> float | None:
    """Share of the written dialogues that are longer than `most` tokens; None where none was written."""
    return float((inspected.lengths > most).mean()) if len(inspected.lengths) else None
