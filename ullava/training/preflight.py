"""What a run opens before it loads a weight, so that bad input ends it in seconds and not after an hour."""

from dataclasses import replace
from pathlib import Path

from ullava.checking.config_checks import best_fault, open_data, run_faults
from ullava.configs.load import ConfigError
from ullava.configs.messages import located
from ullava.configs.schema import RunConfig
from ullava.evaluation.engine.opening import token_faults
from ullava.evaluation.evaluator import open_rows
from ullava.tasks.mixture import Mixture, MixtureEntry
from ullava.tasks.rates import portions


def open_mixture(config: RunConfig) -> Mixture:
    """The rows of `data:`, opened.

    Raises:
        LookupError, ValueError, FileNotFoundError: a row's dataset, task, option or path, says which row; or
            `sampling:` does not fit the rows.
    """
    opened = []
    for number, row in enumerate(config.data):
        with located(f"data[{number}]"):
            task, reader = open_data(row, config.datasets)
            opened.append(MixtureEntry(reader, task, mirror=row.mirror))
    passes = portions(config.data, config.sampling, [len(row.reader) for row in opened])
    rows = [replace(row, portion=portion) for row, portion in zip(opened, passes, strict=True)]
    return Mixture(rows, config.training.seed)


def look_ahead(config: RunConfig, mixture: Mixture) -> None:
    """Raises now what would come at an epoch's end, or never: `evaluate:`, `best:`, parts, and tokens nobody reads."""
    heads = config.model.heads
    faults = list(run_faults(config))
    for number, row in enumerate(mixture.rows):
        faults += [f"data[{number}]: {fault}" for fault in token_faults(row.task, heads)]
    if faults:
        raise ConfigError("\n".join(faults))
    scores = open_rows(config.evaluate, config.datasets, config.generation, heads)
    if fault := best_fault(config.best, scores):
        raise ConfigError(fault)
    if Path(config.output_dir).is_file():
        raise ConfigError(f"output_dir: {config.output_dir} is a file; expected a folder, or a name that is free")
