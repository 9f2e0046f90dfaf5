"""What a run opens before it loads a weight, so that bad input ends it in seconds and not after an hour."""

from dataclasses import replace

from ullava.checking.config_checks import best_fault, model_faults, run_faults
from ullava.checking.network_checks import network_faults
from ullava.checking.row_checks import open_data, prove_samples
from ullava.configs.load import ConfigError
from ullava.configs.messages import located
from ullava.configs.schema import RunConfig
from ullava.evaluation.engine.opening import token_faults
from ullava.evaluation.evaluator import open_rows
from ullava.models.processor_from_config import processor_from_config
from ullava.tasks.mixture import Mixture, MixtureEntry
from ullava.tasks.rates import portions


def open_mixture(config: RunConfig) -> Mixture:
    """Opens the rows of `data:`.

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


def look_ahead(config: RunConfig, mixture: Mixture, *, allow_mismatch: bool = False) -> None:
    """Raises errors that would otherwise show at an epoch's end or never, those of `ullava check` for example.

    Args:
        allow_mismatch: see `network_faults`.

    Raises:
        ConfigError, ValueError, LookupError, FileNotFoundError: what of the YAML does not fit, or a sample.
    """
    heads = config.model.heads
    faults = list(run_faults(config))
    for number, row in enumerate(mixture.rows):
        faults += [f"data[{number}]: {fault}" for fault in token_faults(row.task, heads)]
    if not faults:
        faults += model_faults(config.model)
    if not faults:
        faults += network_faults(config, allow_mismatch=allow_mismatch)
    if faults:
        raise ConfigError("\n".join(faults))
    fit = processor_from_config(config.model, max_length=config.training.max_length).fit
    for number, (row, entry) in enumerate(zip(config.data, mixture.rows, strict=True)):
        if config.training.on_bad_sample == "stop":
            with located(f"data[{number}]"):
                prove_samples(row, entry.task, entry.reader, fit)
    scores = open_rows(config.evaluate, config.datasets, config.generation, heads, fit)
    if fault := best_fault(config.best, scores):
        raise ConfigError(fault)
