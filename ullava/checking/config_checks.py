"""What keeps a YAML from running, found without weights or a GPU: each fault one line, with its place and its cure.

A section is judged by itself, so that a fault in one does not hide those of another.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from ullava.configs.schema import DataRow, EvaluationRow, ModelConfig, Part, RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import Reader
from ullava.evaluation.engine.box_sources import BOX_SOURCES, source_fault, source_of
from ullava.models.heads.base import HEADS
from ullava.models.text.conversation import known_name
from ullava.tasks.base import TASKS, Task
from ullava.tasks.rates import sampling_faults

T = TypeVar("T")
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


def part_of(schema: type[BaseModel], tree: Any) -> BaseModel | None:
    """A section by itself, so that a fault elsewhere does not hide its own; None where the schema refuses it."""
    try:
        return schema.model_validate(tree)
    except ValidationError:
        return None


def open_rows(tree: Mapping[str, Any]) -> tuple[list[Opened], list[str]]:
    """The rows of `data` and `evaluate` that open, and why others do not; what the schema refuses is left out."""
    own = tree.get("datasets") if isinstance(tree.get("datasets"), dict) else {}
    opened, faults = [], []
    for section, schema in (("data", DataRow), ("evaluate", EvaluationRow)):
        rows = tree.get(section) if isinstance(tree.get(section), list) else []
        for i, row in enumerate(part_of(schema, row) for row in rows):
            if row is None:
                continue
            place = f"{section}[{i}]"
            task = attempt(place, faults, TASKS.build, row.task, row.options)
            reader = attempt(place, faults, open_data, row, own)
            if task is not None and reader is not None:
                opened.append(Opened(place, row, task, reader))
    return opened, faults


def attempt(place: str, faults: list[str], make: Callable[..., T], *arguments: Any) -> T | None:
    """Returns `make(*arguments)`; where that fails, None, and `faults` grows by the reason."""
    try:
        return make(*arguments)
    except WRONG as error:
        faults += [f"{place}: {line}" for line in str(error).splitlines()]
        return None


def open_data(row: DataRow | EvaluationRow, own: Mapping[str, Any]) -> Reader:
    """The row's dataset, its annotation files read."""
    reader = open_dataset(row.dataset, row.task, own, row.exclude if isinstance(row, DataRow) else ())
    if not len(reader):
        raise ValueError(f"{row.dataset} has no records")
    return reader


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


def source_faults(opened: Opened) -> Iterator[str]:
    """Yields what is wrong with where an evaluation's boxes come from."""
    if isinstance(opened.row, EvaluationRow):
        name, options = source_of(opened.row.boxes)
        if name not in BOX_SOURCES:
            yield f"{opened.place}: {BOX_SOURCES.unknown(name)}"
        elif opened.row.boxes and (fault := source_fault(name, opened.task)):
            yield f"{opened.place}: {fault}"
        for key in ("weights", "text"):
            if options.get(key) and not Path(options[key]).exists():
                yield f"{opened.place}: boxes.{name}.{key}: {options[key]}: no such file or folder"


def model_faults(model: ModelConfig, opened: Sequence[Opened]) -> Iterator[str]:
    """Yields missing folders, unknown names, and tokens that a task says and no head reads."""
    if not Path(model.llm).is_dir():
        yield f"model.llm: {model.llm}: no such folder; if a stage writes it, run that stage first"
    elif model.vision is None and card(model.llm) is None:
        yield f"model.vision: missing; {model.llm} is no run that could say which tower it saw with"
    towers = {"heads.mask.sam": (model.heads.get("mask") or {}).get("sam")}
    towers["heads.detector.weights"] = (model.heads.get("detector") or {}).get("weights")
    towers["vision.tower"] = model.vision.tower if model.vision else None
    for key, tower in towers.items():
        if tower and not Path(tower).exists():
            yield f"model.{key}: {tower}: no such file or folder; put the published weights there"
    try:
        known_name(model.conversation)
    except LookupError as error:
        yield f"model.conversation: {error}"
    yield from (f"model.heads: {HEADS.unknown(name)}" for name in model.heads if name not in HEADS)
    yield from token_faults(model.heads, ((one.place, one.task) for one in opened))


def token_faults(heads: Iterable[str], asked: Iterable[tuple[str, Task]]) -> Iterator[str]:
    """Yields the tasks, and the places that name them, whose answers would say a token that none of `heads` reads."""
    read = {HEADS[name].token for name in heads if name in HEADS}
    for place, task in asked:
        said = {HEADS[name].token for name in task.heads if name in HEADS}
        if said - read:
            tokens = ", ".join(sorted(said - read))
            yield f"{place}: task {task.name} says {tokens}, which no head of the model reads; add it, or set `says`"


def trained_faults(folder: str, opened: Sequence[Opened]) -> Iterator[str]:
    """Yields what keeps the model in `folder` from being evaluated."""
    model = card(folder)
    if not Path(folder).is_dir():
        yield f"model: {folder}: no such folder; train it first, or name the folder of another run"
    elif model is None:
        yield f"model: {folder}: holds no {CARD}; expected the folder of a run, a checkpoint or a merged model"
    else:
        yield from (f"model: {folder}: {HEADS.unknown(name)}" for name in model.get("heads", {}) if name not in HEADS)
        yield from token_faults(model.get("heads", {}), ((one.place, one.task) for one in opened))


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
    measured = {f"{row.dataset}/{row.task}" for row in config.evaluate}
    if config.best and config.best.rpartition("/")[0] not in measured:
        yield f"best: {config.best!r} is not measured by `evaluate`; {nearest(config.best, measured)}"
    shipped = sorted(path.stem for path in (CONFIGS / "deepspeed").glob("*.json"))
    if (name := config.training.deepspeed) and name not in shipped and not Path(name).is_file():
        yield f"training.deepspeed: no file {name!r}; {nearest(name, shipped)}"
    elif name and find_spec("deepspeed") is None:
        yield "training.deepspeed: deepspeed is not installed; pip install deepspeed, or take training.deepspeed=null"


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
