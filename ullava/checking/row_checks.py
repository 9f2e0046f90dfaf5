"""Opens the rows of a YAML, and looks at what their datasets hold."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

import ullava.tasks  # noqa: F401, registers them
from ullava.configs.schema import DataRow, EvaluationRow, GenerationConfig
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.mirror import mirror
from ullava.datasets.readers.base import Reader
from ullava.evaluation.engine.generation_options import generation_faults
from ullava.evaluation.engine.opening import WRONG, Attempts, Fit, token_faults
from ullava.evaluation.engine.questions import spread
from ullava.evaluation.evaluator import open_evaluation
from ullava.tasks.base import TASKS, Task

S = TypeVar("S", bound=BaseModel)
PROVED, DECODED = 256, 4  # records of a dataset that are written as a training would; where each costs a decoding


@dataclass(frozen=True, slots=True)
class Count:
    """What a dataset holds.

    Attributes:
        lost: files that its annotation names and its folder lacks.
        unread: why records cannot be read.
    """

    records: int
    pictures: int
    phrases: int
    turns: int
    lost: tuple[Path, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """One row of `data` or `evaluate` that could be opened; what it holds is counted later."""

    place: str
    row: DataRow | EvaluationRow
    task: Task
    reader: Reader
    count: Count = Count(0, 0, 0, 0)

    @property
    def asked(self) -> tuple[Task, Reader]:
        """The row's task and dataset."""
        return self.task, self.reader


def part_of(schema: type[S], tree: Any) -> S | None:
    """A section by itself, so that a fault elsewhere does not hide its own; None where the schema refuses it."""
    try:
        return schema.model_validate(tree)
    except ValidationError:
        return None


def open_rows(
    tree: Mapping[str, Any], heads: Collection[str] | None, fit: Fit | None = None, *, asks: bool = True
) -> tuple[list[Opened], set[str], list[str]]:
    """Opens the rows of `data` and `evaluate`; what the schema refuses is left out.

    Args:
        heads: names of the model's heads; None where the model is not known.
        fit: refuses dialogues that are too long for the model; None: not looked at.
        asks: write dialogues about samples; False where every record is looked at by itself.

    Returns:
        (the rows that open, the names of the scores that `evaluate` will give, why other rows do not open).
    """
    entries = tree.get("datasets")
    own: dict[str, Any] = entries if isinstance(entries, dict) else {}
    generation = part_of(GenerationConfig, tree.get("generation", {})) or GenerationConfig()
    opened: list[Opened] = []
    scores: set[str] = set()
    faults: list[str] = []
    for place, row in rows_of(tree, "data", DataRow):
        with noted(place, faults):
            opened.append(Opened(place, row, *open_data(row, own, heads)))
            if asks and not quarantined(tree):
                prove_samples(row, *opened[-1].asked, fit)
    for place, row in rows_of(tree, "evaluate", EvaluationRow):
        with noted(place, faults):
            evaluation = open_evaluation(row, own, generation, heads, fit, asks=asks)
            opened.append(Opened(place, row, evaluation.row.task, evaluation.row.reader))
            scores |= evaluation.score_names()
    return opened, scores, [*faults, *generation_faults(generation)]


def rows_of(tree: Mapping[str, Any], section: str, schema: type[S]) -> Iterator[tuple[str, S]]:
    """Yields (place, row) of each row of a section that the schema takes."""
    rows = tree.get(section)
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        if (parsed := part_of(schema, row)) is not None:
            yield f"{section}[{number}]", parsed


@contextmanager
def noted(place: str, faults: list[str]) -> Iterator[None]:
    """Catches an error about what the user wrote, and appends its lines to `faults`, each after `place`."""
    try:
        yield
    except WRONG as error:
        faults += [f"{place}: {line}" for line in str(error).splitlines()]


def open_data(row: DataRow, own: Mapping[str, Any], heads: Collection[str] | None = None) -> tuple[Task, Reader]:
    """The task and the dataset of a row of `data`, its annotation files read.

    Args:
        own: the run's own catalogue entries.
        heads: names of the model's heads; None: not known.

    Raises:
        LookupError, ValueError, FileNotFoundError: every fault of the row, a line each.
    """
    attempts = Attempts()
    task = attempts.make(TASKS.build, row.task, row.options)
    reader = attempts.make(open_dataset, row.dataset, row.task, own, row.exclude)
    if reader is not None and not len(reader):
        attempts.note([f"{row.dataset} has no records"])
    if task and heads is not None:
        attempts.note(token_faults(task, heads))
    attempts.finish()
    assert task and reader is not None  # else `finish` had raised
    return task, reader


def quarantined(tree: Mapping[str, Any]) -> bool:
    """Whether a bad sample does not stop the run."""
    training = tree.get("training")
    return isinstance(training, dict) and training.get("on_bad_sample") == "quarantine"


def prove_samples(row: DataRow, task: Task, reader: Reader, fit: Fit | None = None) -> None:
    """Writes some records of a row, evenly spread, as a training would; pixels are not read.

    Args:
        fit: refuses a dialogue that is too long for the model; None: lengths are not looked at.

    Raises:
        ValueError: a record cannot be read, its task can ask nothing about it, or it is too long; the first of them.
    """
    for record in spread(len(reader), DECODED if reader.decodes else PROVED):
        sample = mirror(reader[record]) if row.mirror else reader[record]
        dialogue = task.dialogue(sample, np.random.default_rng(record))
        if fit:
            fit(dialogue, True)


def count(reader: Reader) -> Count:
    """Counts what a dataset holds; reads every record once, but no pixels of pictures or masks (`--depth` does)."""
    media, phrases, turns, unread = set(), 0, 0, []
    for i in range(len(reader)):
        try:
            if reader.decodes:
                media.update(reader.shown(i))
                continue
            sample = reader[i]
        except WRONG as error:
            unread.append(str(error))
            continue
        media |= {medium.path for medium in sample.media}
        phrases += sum(len(region.phrases) for region in sample.regions)
        turns += len(sample.turns)
    lost = tuple(sorted(path for path in media if not path.exists()))
    return Count(len(reader), len(media), phrases, turns, lost, tuple(unread))


def dataset_faults(opened: Opened) -> Iterator[str]:
    """Yields what is broken of a dataset: records that cannot be read, pictures that are lost."""
    count, where = opened.count, f"{opened.place}: {opened.row.dataset}"
    if count.lost:
        yield f"{where}: {len(count.lost)} of {count.pictures} pictures or videos are missing, e.g. {count.lost[0]}"
    if count.unread:
        yield f"{where}: {len(count.unread)} of {count.records} records cannot be read, e.g. {count.unread[0]}"
