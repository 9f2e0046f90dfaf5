"""Adapters as others publish them: peft's LoRA with its variants, brought to one rank and one scale, or refused."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft.utils.other import get_pattern_key
from torch import Tensor

from ullava.configs.schema import LoraConfig
from ullava.models.convert.merge import LLM
from ullava.models.folders.checkpoints import ADAPTER, ADAPTER_CONFIG, write
from ullava.models.weights.files import open_weights

LORA = re.compile(r"(.*\.)lora_([AB])\.(?:default\.)?weight")
WRAPPED = re.compile(r"base_model\.model\.")  # what peft puts before the names of what it wraps
ADAPTERS = (ADAPTER, "adapter_model.bin")
LISAS_ALPHA, PEFTS_ALPHA = 16, 8  # where a folder says nothing of it, and where its adapter_config.json does not
MOVES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora-ga")  # beginnings that leave other base weights behind
CURE = "merge it with peft (`merge_and_unload`), and give the merged model"


def find_adapters(
    source: Path, ours: Mapping[str, Tensor], *, trust: bool
) -> tuple[dict[str, Tensor], LoraConfig | None]:
    """LoRA's weights by the names of the language model's parameters, and its settings; from `ours` or from beside.

    Raises:
        ValueError: weights of another method.
    """
    held = {name.removeprefix("llm."): tensor for name, tensor in ours.items() if ".lora_" in name}
    for file in ADAPTERS:
        if not held and (source / file).is_file():
            held = {WRAPPED.sub("", name): t for name, t in open_weights(source / file, trust=trust).items()}
    if not held:
        return {}, None
    path = Path(source, ADAPTER_CONFIG)
    settings = json.loads(path.read_text()) if path.is_file() else {}
    refuse_other_methods(source, held, settings)
    adapters = {LORA.sub(r"\1lora_\2.default.weight", name): tensor for name, tensor in held.items()}
    adapters, rank, alpha = level(adapters, settings)
    targets = tuple(sorted({module_of(name).rpartition(".")[2] for name in adapters}))
    return adapters, LoraConfig(rank=rank, alpha=alpha, targets=targets, dropout=settings.get("lora_dropout", 0.05))


def refuse_other_methods(source: Path, held: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """Names what is not LoRA, or more than LoRA.

    Raises:
        ValueError: a setting that would be lost, or a weight of another method.
    """
    path = Path(source, ADAPTER_CONFIG)
    if settings.get("peft_type", "LORA") != "LORA":
        raise ValueError(f"{path}: peft_type: expected LORA, found {settings['peft_type']}; {CURE}")
    lost = [key for key in ("use_dora", "fan_in_fan_out", "modules_to_save", "lora_bias") if settings.get(key)]
    lost += ["layer_replication"] if settings.get("layer_replication") else []
    if str(settings.get("init_lora_weights", True)).split("_")[0] in MOVES_THE_BASE:
        lost.append("init_lora_weights")
    lost += ["bias"] if settings.get("bias", "none") != "none" else []
    if lost:
        said = ", ".join(f"{key}: {json.dumps(settings[key])}" for key in lost)
        raise ValueError(f"{path}: {said}: these adapters are more than LoRA's two factors; {CURE}")
    faults = [name for name in held if not LORA.fullmatch(name)]
    if faults:
        raise ValueError(f"{source}: {', '.join(faults[:5])}: no LoRA weights; expected lora_A and lora_B; {CURE}")


def level(adapters: dict[str, Tensor], settings: Mapping[str, Any]) -> tuple[dict[str, Tensor], int, float]:
    """Brings modules of different ranks and scales to one: the same products, to rounding.

    A rank is widened with zeros; a scale, alpha / rank or of rsLoRA alpha / sqrt(rank) (arXiv:2312.03732), goes into
    lora_B where it is not that of the first module.

    Returns:
        (adapters (r, in) and (out, r), the rank r, alpha).
    """
    modules = sorted({module_of(name) for name in adapters})
    ranks = {module: len(adapters[f"{module}.lora_A.default.weight"]) for module in modules}
    usual = settings.get("lora_alpha", PEFTS_ALPHA if settings else LISAS_ALPHA)
    patterns = settings.get("alpha_pattern") or {}
    root = math.sqrt if settings.get("use_rslora") else float
    scales = {
        module: patterns.get(get_pattern_key(list(patterns), module), usual) / root(ranks[module]) for module in modules
    }
    rank, first = max(ranks.values()), scales[modules[0]]
    for module in modules:
        down, up = (f"{module}.lora_{side}.default.weight" for side in "AB")
        if ranks[module] != rank:
            missing = rank - ranks[module]
            adapters[down] = torch.cat([adapters[down], adapters[down].new_zeros(missing, adapters[down].shape[1])])
            adapters[up] = torch.cat([adapters[up], adapters[up].new_zeros(len(adapters[up]), missing)], 1)
        if scales[module] != first:
            adapters[up] = adapters[up] * (scales[module] / first)
    return adapters, rank, round(first * rank, 9)  # 16 / 6 * 6 is 16


def module_of(name: str) -> str:
    """The linear layer that an adapter's weight belongs to."""
    return name.split(".lora_")[0]


def write_adapters(folder: Path, adapters: Mapping[str, Tensor], lora: LoraConfig) -> None:
    """The adapters, as peft reads them."""
    write(folder / ADAPTER, {f"base_model.model.{name}".replace(".default.", "."): t for name, t in adapters.items()})
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": lora.rank, "bias": "none"}
    settings |= {"lora_alpha": lora.alpha, "lora_dropout": lora.dropout, "target_modules": list(lora.targets)}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(settings | {"base_model_name_or_path": LLM}, indent=2))
