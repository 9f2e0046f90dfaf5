"""Says what a YAML would do before it does it: every fault at once, then records, batch, steps and what learns.

Needs neither weights nor a GPU. Annotation files are opened; pictures are only looked for, unless a `--depth` asks for
more.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ullava.checking.config_checks import best_fault, evaluation_faults, heads_of, model_faults, run_faults
from ullava.checking.datasets import Depth, Inspected, balance, inspect, issues
from ullava.checking.network_checks import network_faults
from ullava.checking.page import Checked, lines, summary, write
from ullava.checking.pictures import DrawnExample, example
from ullava.checking.row_checks import Opened, count, dataset_faults, open_rows, part_of
from ullava.configs.load import ConfigError, apply, build, read_run
from ullava.configs.plugins import load_plugins_of
from ullava.configs.schema import DataRow, EvaluationConfig, ModelConfig, RunConfig, TrainingConfig
from ullava.datasets.exclude import dropped
from ullava.models.batching.processor import Processor
from ullava.models.processor_from_config import processor_from_config, processor_from_folder
from ullava.tasks.mixture import Mixture, MixtureEntry, span
from ullava.tasks.rates import portions

SHOWN = 20  # faults in the message; the files list all


@dataclass(frozen=True)
class Reading:
    """A YAML, read.

    Attributes:
        config: None where the schema refuses the YAML.
        opened: the rows that open.
        faults: a line each; those of records are not among them.
    """

    path: str
    tree: dict[str, Any]
    config: RunConfig | EvaluationConfig | None
    opened: list[Opened]
    faults: list[str]


def read(path: str | Path, overrides: Sequence[str] = (), *, asks: bool = True) -> Reading:
    """Reads a YAML and opens what it names.

    Args:
        overrides: `key.sub=value`, as of the command that will run.
        asks: write dialogues about samples; False where every record is looked at by itself.

    Raises:
        ConfigError: the YAML cannot be read, or is neither a training nor an evaluation.
    """
    tree = read_run(path)
    for override in overrides:
        apply(tree, override)
    if not {"model", "data", "evaluate"} & tree.keys():
        raise ConfigError(f"{path}: expected a training (model, learn, data) or an evaluation (model, evaluate)")
    schema = EvaluationConfig if isinstance(tree.get("model"), str) and "data" not in tree else RunConfig
    config, faults = None, []
    try:
        load_plugins_of(tree)
    except ConfigError as error:
        faults.append(f"{path}: {error}")
    try:
        config = build(schema, tree, str(path))
    except ConfigError as error:
        faults += str(error).splitlines()
    model = part_of(ModelConfig, tree.get("model"))
    processor, _ = open_processor(tree)
    fit = processor.fit if processor else None
    opened, scores, yaml_faults = open_rows(tree, heads_of(tree.get("model"), model), fit, asks=asks)
    if model:
        yaml_faults += model_faults(model)
    if isinstance(config, EvaluationConfig):
        yaml_faults += evaluation_faults(config)
    if isinstance(config, RunConfig):
        yaml_faults += run_faults(config)
        if not yaml_faults and (fault := best_fault(config.best, scores)):  # a row that does not open has no scores
            yaml_faults.append(fault)
        if not yaml_faults:  # what is missing or misspelt would be told a second time
            yaml_faults += network_faults(config)
    return Reading(str(path), tree, config, opened, faults + [f"{path}: {fault}" for fault in yaml_faults])


def check(path: str | Path, overrides: Sequence[str] = (), *, devices: int = 1) -> str:
    """Returns what the run or evaluation in `path` would do, as text. Files are only looked for.

    Args:
        overrides: as `read`.
        devices: processes that will train together.

    Raises:
        ConfigError: every fault, one a line.
    """
    reading = read(path, overrides)
    opened = [replace(row, count=count(row.reader)) for row in reading.opened]
    faults = reading.faults + [f"{path}: {fault}" for row in opened for fault in dataset_faults(row)]
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    assert reading.config is not None  # else there were faults
    return "\n".join([f"{path} is sound", "", *report(reading.config, opened, devices)]).rstrip()


def check_whole(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    devices: int = 1,
    depth: Depth = "all",
    sample: int = 100,
    workers: int = 1,
    output: Path | None = None,
) -> str:
    """Looks at every record as well, writes check.json and check.html, and returns what was found as text.

    Args:
        overrides, devices: as `check`.
        depth, sample, workers: as `inspect`.
        output: folder of the two files; None: `check` in the run's own.

    Raises:
        ConfigError: there are faults; the first ones, and where all are listed.
    """
    reading = read(path, overrides, asks=False)
    config = reading.config
    processor, note = open_processor(reading.tree)
    inspected = inspect(reading.opened, processor, depth=depth, sample=sample, workers=workers)
    opened = [dataset.opened for dataset in inspected]
    draws: list[int] = []
    if isinstance(config, RunConfig) and sum(isinstance(entry.row, DataRow) for entry in opened) == len(config.data):
        draws = [len(span(len(row.reader), row.portion, 0)) for row in mixed(config, opened)]
    tasks, classes = balance(inspected, draws) if draws else ({}, {})
    data_issues = issues(inspected)
    checked = Checked(
        str(path), depth, sample, tuple(dict.fromkeys(reading.faults)), tuple(data_issues), tuple(inspected),
        tuple(draws), tasks, classes, tuple(examples(inspected)), processor.max_length if processor else 0, note,
    )  # fmt: skip
    files = write(checked, output or Path(reading.tree.get("output_dir") or "runs", "check"))
    summary_lines = [f"{path}: {summary(checked)}", f"see {files[1]} and {files[0]}"]
    failing = [*checked.faults, *(issue for issue in data_issues if issue.fails)]
    if failing:
        raise ConfigError("\n".join([*lines(failing, SHOWN), *summary_lines]))
    assert config is not None  # else there were faults
    return "\n".join([*summary_lines, "", *report(config, opened, devices)]).rstrip()


def open_processor(tree: Mapping[str, Any]) -> tuple[Processor | None, str]:
    """Opens the processor that writes rows as the model will get them; None where it cannot be, and the reason."""
    model = part_of(ModelConfig, tree.get("model"))
    training = part_of(TrainingConfig, tree.get("training", {})) or TrainingConfig()
    try:
        if model:
            return processor_from_config(model, max_length=training.max_length), ""
        return processor_from_folder(str(tree.get("model")), max_length=training.max_length), ""
    except (LookupError, ValueError, OSError) as error:
        return None, f"No lengths are known: {error}"


def examples(inspected: Sequence[Inspected]) -> Iterator[tuple[str, DrawnExample]]:
    """Yields the first sound record of each row."""
    for dataset in inspected:
        number = next(dataset.sound, None)
        if number is not None:
            opened = dataset.opened
            yield f"{opened.place}: {opened.row.dataset}, {opened.row.task}", example(dataset.inspector, number)


def report(config: RunConfig | EvaluationConfig, opened: Sequence[Opened], devices: int) -> list[str]:
    """Lines on the datasets, and of a training on its batch, its steps and what learns."""
    rows = mixed(config, opened) if isinstance(config, RunConfig) else []
    left = [f"{row.place}: exclude leaves out {gone} records" for row in opened if (gone := dropped(row.reader))]
    then = plan(config, rows, devices) if isinstance(config, RunConfig) else []
    return [*count_table(opened, rows), *left, "", *then]


def mixed(config: RunConfig, opened: Sequence[Opened]) -> list[MixtureEntry]:
    """Makes the rows of the mixture, in order."""
    rows = [(entry, entry.row) for entry in opened if isinstance(entry.row, DataRow)]
    passes = portions(config.data, config.sampling, [entry.count.records for entry, _ in rows])
    return [
        MixtureEntry(entry.reader, entry.task, portion, row.mirror)
        for (entry, row), portion in zip(rows, passes, strict=True)
    ]


def count_table(opened: Sequence[Opened], rows: Sequence[MixtureEntry]) -> Iterator[str]:
    """Yields a line per row: what it is asked, what its dataset holds, how many dialogues an epoch draws from it."""
    head: tuple[str, ...] = ("", "dataset", "task", "records", "pictures", "phrases", "turns", "portion", "draws")
    cells: list[tuple[str, ...]] = [head]
    mixture = iter(rows)
    for entry in opened:
        numbers = (entry.count.records, entry.count.pictures, entry.count.phrases, entry.count.turns)
        if isinstance(entry.row, DataRow):
            portion = next(mixture).portion
            draws = (f"{portion:.4g}", str(len(span(entry.count.records, portion, 0))))
        else:
            draws = (f"at most {entry.row.limit or 'all'}", "")
        cells.append((entry.place, entry.row.dataset, entry.row.task, *map(str, numbers), *draws))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        words = [word.ljust(width) for word, width in zip(line[:3], widths, strict=False)]
        words += [word.rjust(width) for word, width in zip(line[3:], widths[3:], strict=True)]
        yield "  ".join(words).rstrip()


def plan(config: RunConfig, rows: Sequence[MixtureEntry], devices: int) -> list[str]:
    """Lines on the batch, the steps, and what learns."""
    training = config.training
    size = Mixture(rows, training.seed).size(0)
    batch = training.batch_size * training.accumulate * devices
    steps = math.ceil(math.ceil(size / (training.batch_size * devices)) / training.accumulate)
    total = training.max_steps or math.ceil(steps * training.epochs)
    learns = ", ".join(f"{part} {rate:g}" for part, rate in config.learn.items())
    only = " (of the embeddings only this stage's new tokens)" if config.new_embeddings_only else ""
    return [
        f"batch   {training.batch_size} a device x {training.accumulate} accumulated x {devices} devices = {batch}",
        f"steps   {steps} an epoch of {size} dialogues, {total} in all",
        f"learns  {learns}{only}; every other part is frozen",
        f"writes  {config.output_dir}",
    ]
