"""What a run opens before it loads a weight, so that bad input ends it in seconds and not after an hour."""

from dataclasses import replace
from pathlib import Path

from ullava.checking.config_checks import run_faults, token_faults
from ullava.configs.load import ConfigError
from ullava.configs.messages import located
from ullava.configs.schema import RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.evaluation.evaluator import open_rows
from ullava.tasks.base import TASKS
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
            task = TASKS.build(row.task, row.options)
            reader = open_dataset(row.dataset, row.task, config.datasets, row.exclude)
            opened.append(MixtureEntry(reader, task, mirror=row.mirror))
    passes = portions(config.data, config.sampling, [len(row.reader) for row in opened])
    rows = [replace(row, portion=portion) for row, portion in zip(opened, passes, strict=True)]
    return Mixture(rows, config.training.seed)


def look_ahead(config: RunConfig, mixture: Mixture) -> None:
    """Raises now what would come at an epoch's end, or never: `evaluate:`, `best:`, parts, and tokens nobody reads."""
    asked = ((f"data[{number}]", row.task) for number, row in enumerate(mixture.rows))
    if faults := [*run_faults(config), *token_faults(config.model.heads, asked)]:
        raise ConfigError("\n".join(faults))
    open_rows(config.evaluate, config.datasets)
    if Path(config.output_dir).is_file():
        raise ConfigError(f"output_dir: {config.output_dir} is a file; expected a folder, or a name that is free")
