"""What keeps a YAML from running, found without weights or a GPU: each fault one line, with its place and its cure.

A section is judged by itself, so that a fault in one does not hide those of another.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from transformers.integrations.integration_utils import get_available_reporting_integrations

import ullava.models.heads  # noqa: F401, registers them
from ullava.configs.load import CONFIGS
from ullava.configs.registry import nearest
from ullava.configs.schema import EvaluationConfig, ModelConfig, Part, RunConfig
from ullava.models.folders.hub import local_folder
from ullava.models.folders.resolve import named_folders
from ullava.models.heads.base import HEADS
from ullava.models.quantisation import QUANTISED
from ullava.models.text.conversation import known_name
from ullava.models.vocabulary import SPELT
from ullava.tasks.rates import sampling_faults

CARD = "ullava.json"  # in the folder of a run, models/folders/manifest.py


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
    yield from (f"model.tokens: no token {name!r}; {nearest(name, SPELT)}" for name in model.tokens.keys() - SPELT)
    if model.attention == "flash_attention_2" and find_spec("flash_attn") is None:
        yield "model.attention: flash_attention_2 needs flash-attn: pip install flash-attn, or take sdpa"


def evaluation_faults(config: EvaluationConfig) -> Iterator[str]:
    """Yields what keeps an evaluation from beginning, besides its rows."""
    yield from trained_faults(config.model)
    if config.generation.precision in QUANTISED and find_spec("bitsandbytes") is None:
        yield f"generation.precision: {config.generation.precision} needs bitsandbytes: pip install bitsandbytes"
    yield from output_faults(config.output_dir)


def output_faults(folder: str) -> Iterator[str]:
    """Yields why nothing can be written to a run's folder."""
    if file := next((path for path in (Path(folder), *Path(folder).parents) if path.is_file()), None):
        yield f"output_dir: {file} is a file; expected a folder, or a name that is free"


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
    """Reads the model section of the run in `folder`; None where it holds none."""
    path = Path(folder, CARD)
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("model", {})
    except ValueError as error:
        raise ValueError(f"{path}: broken JSON ({error}); copy the folder again") from error


def run_faults(config: RunConfig) -> Iterator[str]:
    """Yields what does not fit together: parts that the model lacks, a score that is not measured, a missing file."""
    present, how = parts(config.model), config.training
    if not config.learn:
        yield f"learn: names no part, so that nothing would learn; {nearest('', present)}"
    for part, rate in config.learn.items():
        if not rate >= 0:
            yield f"learn.{part}: expected a rate of 0 or more, found {rate}"
        if part not in present:
            yield f"learn: this model has no part {part!r}; {nearest(part, present)}"
    if config.model.lora and "lora" not in config.learn:
        yield "learn: model.lora is there, but the part 'lora' does not learn; name it, or take model.lora away"
    yield from sampling_faults(config.data, config.sampling)
    yield from output_faults(config.output_dir)
    if not all(0 <= beta < 1 for beta in how.betas):
        yield f"training.betas: expected numbers from 0 on and below 1, found {list(how.betas)}"
    if not how.weight_decay >= 0:
        yield f"training.weight_decay: expected 0 or more, found {how.weight_decay}"
    known = [*get_available_reporting_integrations(), "tensorboard"]
    for name in how.report_to:
        if name not in (*known, "all", "none"):
            yield f"training.report_to: no {name!r}, or it is not installed; {nearest(name, known)}"
    shipped = sorted(path.stem for path in (CONFIGS / "deepspeed").glob("*.json"))
    if (name := how.deepspeed) and name not in shipped and not Path(name).is_file():
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
