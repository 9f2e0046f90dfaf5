"""What keeps a YAML from running, found without weights or a GPU: each fault one line, with its place and its cure.

A section is judged by itself, so that a fault in one does not hide those of another.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ValidationError

import ullava.models.heads  # noqa: F401, registers them
import ullava.tasks  # noqa: F401, registers them
from ullava.configs.load import CONFIGS
from ullava.configs.registry import nearest
from ullava.configs.schema import DataRow, EvaluationRow, GenerationConfig, ModelConfig, Part, RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import Reader
from ullava.evaluation.engine.generation_options import generation_faults
from ullava.evaluation.engine.opening import Attempts, token_faults
from ullava.evaluation.evaluator import open_evaluation
from ullava.models.folders.hub import local_folder
from ullava.models.folders.resolve import named_folders
from ullava.models.heads.base import HEADS
from ullava.models.text.conversation import known_name
from ullava.tasks.base import TASKS, Task
from ullava.tasks.rates import sampling_faults

S = TypeVar("S", bound=BaseModel)
WRONG = (LookupError, ValueError, OSError)  # what a registry, a reader or a task raises about what it was given
CARD = "ullava.json"  # in the folder of a run, models/folders/manifest.py


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


def part_of(schema: type[S], tree: Any) -> S | None:
    """A section by itself, so that a fault elsewhere does not hide its own; None where the schema refuses it."""
    try:
        return schema.model_validate(tree)
    except ValidationError:
        return None


def open_rows(tree: Mapping[str, Any], heads: Collection[str] | None) -> tuple[list[Opened], set[str], list[str]]:
    """Opens the rows of `data` and `evaluate`; what the schema refuses is left out.

    Args:
        heads: names of the model's heads; None where the model is not known.

    Returns:
        (the rows that open, the names of the scores that `evaluate` will give, why other rows do not open).
    """
    own = tree.get("datasets") if isinstance(tree.get("datasets"), dict) else {}
    generation = part_of(GenerationConfig, tree.get("generation", {})) or GenerationConfig()
    opened: list[Opened] = []
    scores: set[str] = set()
    faults: list[str] = []
    for place, row in rows_of(tree, "data", DataRow):
        with noted(place, faults):
            opened.append(Opened(place, row, *open_data(row, own, heads)))
    for place, row in rows_of(tree, "evaluate", EvaluationRow):
        with noted(place, faults):
            evaluation = open_evaluation(row, own, generation, heads)
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
    """Ends a block at an error about what the user wrote; `faults` grows by its lines, each begun by `place`."""
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
        attempts.errors.append(ValueError(f"{row.dataset} has no records"))
    if task and heads is not None:
        attempts.errors += [ValueError(fault) for fault in token_faults(task, heads)]
    attempts.finish()
    assert task and reader is not None  # else `finish` had raised
    return task, reader


def count(reader: Reader) -> Count:
    """Reads every record once; no pixels, of labels neither: what only they could tell, a check's depth finds."""
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
    """Yields what keeps a row from being asked: broken records, lost pictures, nothing that its task can ask about."""
    found, where = opened.count, f"{opened.place}: {opened.row.dataset}"
    if found.lost:
        yield f"{where}: {len(found.lost)} of {found.pictures} pictures or videos are missing, e.g. {found.lost[0]}"
    if found.unread:
        yield f"{where}: {len(found.unread)} of {found.records} records cannot be read, e.g. {found.unread[0]}"
        return
    try:
        opened.task.dialogue(opened.reader[0], np.random.default_rng(0))
    except WRONG as error:
        yield f"{opened.place}: {error}"


def model_faults(model: ModelConfig) -> Iterator[str]:
    """Yields missing folders and unknown names."""
    for key, name in named_folders(model).items():
        try:
            place = local_folder(name, key, weights=False)
        except FileNotFoundError as error:
            yield str(error)
            continue
        if key != "model.llm" and not Path(place).exists():
            yield f"{key}: {name}: no such file or folder; put the published weights there"
        elif key == "model.llm" and not Path(place).is_dir():
            yield f"{key}: {name}: no such folder; if a stage writes it, run that stage first"
        elif key == "model.llm" and model.vision is None and card(place) is None:
            yield f"model.vision: missing; {name} is no run that could say which tower it saw with"
    try:
        known_name(model.conversation)
    except LookupError as error:
        yield f"model.conversation: {error}"
    yield from (f"model.heads: {HEADS.unknown(name)}" for name in model.heads if name not in HEADS)


def trained_faults(folder: str) -> Iterator[str]:
    """Yields what keeps the model in `folder` from being evaluated."""
    try:
        folder = local_folder(folder, "model", weights=False)
    except FileNotFoundError as error:
        yield str(error)
        return
    model = card(folder)
    if not Path(folder).is_dir():
        yield f"model: {folder}: no such folder; train it first, or name the folder of another run"
    elif model is None:
        yield f"model: {folder}: holds no {CARD}; expected the folder of a run, a checkpoint or a merged model"
    else:
        yield from (f"model: {folder}: {HEADS.unknown(name)}" for name in model.get("heads", {}) if name not in HEADS)


def heads_of(written: Any, model: ModelConfig | None) -> Collection[str] | None:
    """Names of the heads of the model that a YAML names under `model`; None where that is not known.

    Args:
        written: the section as it is written; of an evaluation the folder of a run.
        model: the section of a training, where the schema takes it.
    """
    if model:
        return tuple(name for name in model.heads if name in HEADS)
    run = card(written) if isinstance(written, str) else None
    return tuple(run.get("heads", {})) if run else None


def card(folder: str) -> Mapping[str, Any] | None:
    """The model section of the run in `folder`; None where it holds none."""
    path = Path(folder, CARD)
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("model", {})
    except ValueError as error:
        raise ValueError(f"{path}: broken JSON ({error}); copy the folder again") from error


def run_faults(config: RunConfig) -> Iterator[str]:
    """Yields what does not fit together: parts that the model lacks, a score that is not measured, a missing file."""
    present = parts(config.model)
    for part in config.learn:
        if part not in present:
            yield f"learn: this model has no part {part!r}; {nearest(part, present)}"
    if config.model.lora and "lora" not in config.learn:
        yield "learn: model.lora is there, but the part 'lora' does not learn; name it, or take model.lora away"
    yield from sampling_faults(config.data, config.sampling)
    shipped = sorted(path.stem for path in (CONFIGS / "deepspeed").glob("*.json"))
    if (name := config.training.deepspeed) and name not in shipped and not Path(name).is_file():
        yield f"training.deepspeed: no file {name!r}; {nearest(name, shipped)}"
    elif name and find_spec("deepspeed") is None:
        yield "training.deepspeed: deepspeed is not installed; pip install deepspeed, or take training.deepspeed=null"


def best_fault(best: str | None, scores: Collection[str]) -> str | None:
    """Why `best:` cannot choose a checkpoint; `scores` are the names of those that `evaluate` gives."""
    if best is None or best in scores:
        return None
    return f"best: {best!r} is not measured by `evaluate`; {nearest(best, scores)}"


def parts(model: ModelConfig) -> set[str]:
    """The parts that own parameters of this model."""
    absent = set()
    if not model.lora and not (card(model.llm) or {}).get("lora"):
        absent.add("lora")
    if "mask" not in model.heads:
        absent |= {"mask_decoder", "sam_encoder", "iou_head"}
    if "detector" not in model.heads:
        absent.add("detector")
    return set(get_args(Part)) - absent - (set() if model.heads else {"heads"})
