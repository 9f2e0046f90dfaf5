"""Says what a YAML would do before it does it: every fault at once, then records, batch, steps and what learns.

Needs neither weights nor a GPU. Annotation files are opened, pictures are only looked for.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from ullava.configs.load import ConfigError, apply, build, read_run
from ullava.configs.schema import DataRow, EvaluationConfig, ModelConfig, RunConfig
from ullava.evaluation.faults import (
    Opened,
    dataset_faults,
    model_faults,
    open_rows,
    part_of,
    run_faults,
    trained_faults,
)
from ullava.tasks.mixture import Mixture, Row, span
from ullava.tasks.rates import portions


def check(path: str | Path, overrides: Sequence[str] = (), *, devices: int = 1) -> str:
    """Returns what the run or evaluation in `path` would do, as text.

    Args:
        overrides: `key.sub=value`, as of the command that will run.
        devices: processes that will train together.

    Raises:
        ConfigError: every fault, one a line.
    """
    tree = read_run(path)
    for override in overrides:
        apply(tree, override)
    if not {"model", "data", "evaluate"} & tree.keys():
        raise ConfigError(f"{path}: expected a training (model, learn, data) or an evaluation (model, evaluate)")
    schema = EvaluationConfig if isinstance(tree.get("model"), str) and "data" not in tree else RunConfig
    config, faults = None, []
    try:
        config = build(schema, tree, str(path))
    except ConfigError as error:
        faults += str(error).splitlines()
    opened, found = open_rows(tree)
    for one in opened:
        found += dataset_faults(one)
    if model := part_of(ModelConfig, tree.get("model")):
        found += model_faults(model, opened)
    if isinstance(config, EvaluationConfig):
        found += trained_faults(config.model, opened)
    if isinstance(config, RunConfig):
        found += run_faults(config)
    faults += [f"{path}: {fault}" for fault in found]
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    rows = mixed(config, opened) if isinstance(config, RunConfig) else []
    report = [f"{path} is sound", "", *count_table(opened, rows), ""]
    return "\n".join([*report, *(plan(config, rows, devices) if isinstance(config, RunConfig) else [])]).rstrip()


def mixed(config: RunConfig, opened: Sequence[Opened]) -> list[Row]:
    """The rows of the mixture, in order."""
    found = [one for one in opened if isinstance(one.row, DataRow)]
    passes = portions(config.data, config.sampling, [one.count.records for one in found])
    return [Row(one.reader, one.task, portion) for one, portion in zip(found, passes, strict=True)]


def count_table(opened: Sequence[Opened], rows: Sequence[Row]) -> Iterator[str]:
    """Yields a line per row: what it is asked, what its dataset holds, how many dialogues an epoch draws from it."""
    head = ("", "dataset", "task", "records", "pictures", "phrases", "turns", "portion", "draws")
    cells, mixture = [head], iter(rows)
    for one in opened:
        numbers = (one.count.records, one.count.pictures, one.count.phrases, one.count.turns)
        if isinstance(one.row, DataRow):
            portion = next(mixture).portion
            draws = (f"{portion:.4g}", str(len(span(one.count.records, portion, 0))))
        else:
            draws = (f"at most {one.row.limit or 'all'}", "")
        cells.append((one.place, one.row.dataset, one.row.task, *map(str, numbers), *draws))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        words = [word.ljust(width) for word, width in zip(line[:3], widths, strict=False)]
        words += [word.rjust(width) for word, width in zip(line[3:], widths[3:], strict=True)]
        yield "  ".join(words).rstrip()


def plan(config: RunConfig, rows: Sequence[Row], devices: int) -> list[str]:
    """Lines on the batch, the steps, and what learns."""
    training = config.training
    size = Mixture(rows, training.seed).size(0)
    batch = training.batch_size * training.accumulate * devices
    steps = math.ceil(math.ceil(size / (training.batch_size * devices)) / training.accumulate)
    total = min(math.ceil(steps * training.epochs), training.max_steps or math.inf)
    learns = ", ".join(f"{part} {rate:g}" for part, rate in config.learn.items())
    only = " (of the embeddings only this stage's new tokens)" if config.new_embeddings_only else ""
    return [
        f"batch   {training.batch_size} a device x {training.accumulate} accumulated x {devices} devices = {batch}",
        f"steps   {steps} an epoch of {size} dialogues, {total} in all",
        f"learns  {learns}{only}; every other part is frozen",
        f"writes  {config.output_dir}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what a YAML would do; raises ConfigError with every fault."""
    parser = argparse.ArgumentParser(prog="ullava check", description=__doc__.splitlines()[0])
    parser.add_argument("yaml", nargs="?", help="a training or an evaluation")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="as of the command that will run")
    parser.add_argument("--cfg_path", help="the same as YAML")
    parser.add_argument("--devices", type=int, default=1, help="processes that will train together")
    options = parser.parse_intermixed_args(arguments)
    words = [word for word in (options.yaml, *options.overrides) if word]
    if not options.cfg_path and not words:
        parser.error("which YAML?")
    path, overrides = (options.cfg_path, words) if options.cfg_path else (words[0], words[1:])
    print(check(path, overrides, devices=options.devices))
