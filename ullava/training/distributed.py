"""How one run is spread over processes: plain copies (DDP), DeepSpeed's ZeRO stages, or PyTorch's FSDP.

What learns stays float32 in all of them, and autocast computes in the run's precision. DeepSpeed's own bf16 engine
would round every weight, those of boxes too, and its checkpoints; its `torch_autocast` section does what DDP does.
"""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ullava.configs.load import CONFIGS, ConfigError
from ullava.configs.registry import nearest
from ullava.configs.schema import TrainingConfig
from ullava.models.assembly import PRECISIONS

HERE = CONFIGS / "deepspeed"
OURS = {"bf16": "precision", "fp16": "precision", "optimizer": "betas", "scheduler": "schedule"}  # section -> our key
ALONE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}


def read_deepspeed(how: TrainingConfig) -> dict[str, Any] | None:
    """Reads the settings for DeepSpeed; None where the run does not use it.

    Raises:
        ConfigError: no such file, a broken one, or one that sets what the YAML sets.
        ImportError: deepspeed is not installed.
    """
    if how.deepspeed is None:
        return None
    if how.fsdp:
        raise ConfigError("training.fsdp: expected one way to share out weights, found deepspeed too; drop one of them")
    path = HERE / f"{how.deepspeed}.json"
    path = path if path.is_file() else Path(how.deepspeed)
    if not path.is_file():
        known = nearest(how.deepspeed, sorted(file.stem for file in HERE.glob("*.json")))
        raise ConfigError(f"training.deepspeed: {how.deepspeed}: no such file; {known}")
    if find_spec("deepspeed") is None:
        raise ImportError(f"training.deepspeed: {how.deepspeed} needs deepspeed: pip install 'ullava[train]'")
    try:
        settings = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"training.deepspeed: {path}: broken JSON ({error})") from error
    for section, key in OURS.items():
        enabled = settings.get(section, {}).get("enabled", bool(settings.get(section)))
        if enabled not in (False, "auto"):
            raise ConfigError(f"training.deepspeed: {path}: delete {section!r}, training.{key} says it")
        settings.pop(section, None)
    # Modules "safe" at lower precision would get their weights rounded on the way (ZeRO-3), so none is named.
    autocast = {"enabled": how.precision != "fp32", "lower_precision_safe_modules": []}
    return settings | {"torch_autocast": autocast | {"dtype": str(PRECISIONS[how.precision]).removeprefix("torch.")}}


def held_up() -> str | None:
    """Returns a warning where DeepSpeed will wait silently for another process that compiles its operators."""
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or Path.home() / ".cache" / "torch_extensions")
    locks = sorted(map(str, folder.rglob("lock")))
    if not locks:
        return None
    return (
        f"training.deepspeed: waits until {', '.join(locks)} is gone: somebody compiles DeepSpeed's operators, or was "
        "killed at it; if nobody does, delete it"
    )


def spread(how: TrainingConfig, deepspeed: dict[str, Any] | None, llm: PreTrainedModel) -> dict[str, Any]:
    """Makes the Trainer's keywords for sharding weights and for the run's precision.

    Args:
        deepspeed: what `read_deepspeed` found.
        llm: the language model, whose layers FSDP gathers one at a time.
    """
    if how.fsdp and how.precision == "fp16":
        raise ConfigError("training.precision: FSDP scales no losses, as fp16 needs; take bf16 or fp32")
    if deepspeed is not None and "WORLD_SIZE" not in os.environ:  # one process without a launcher: DeepSpeed asks, too
        os.environ |= ALONE
    by_trainer = deepspeed is None and not how.fsdp
    layers = sorted(llm._no_split_modules or ())
    return {
        "bf16": by_trainer and how.precision == "bf16",
        "fp16": by_trainer and how.precision == "fp16",
        "deepspeed": deepspeed,
        "fsdp": how.fsdp,
        "fsdp_config": {"transformer_layer_cls_to_wrap": layers} if how.fsdp else None,
        "ddp_find_unused_parameters": False,  # every part runs on every rank: models/ullava.py
    }
