"""Folders that hold what learned; what stayed frozen lies where it was.

ullava.json                the card, `models/folders/manifest.py`: what this is, and on which foundations
learned.safetensors        every weight that no base holds
adapter_model.safetensors, adapter_config.json    LoRA, apart, as peft reads it
tokenizer files
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ullava.configs.registry import listing
from ullava.configs.schema import ModelConfig
from ullava.models.folders.manifest import CARD, Card, read_card, write_card
from ullava.models.folders.shards import fill, whole
from ullava.models.stages import REGISTERED, Network

LEARNED = "learned.safetensors"
__all__ = ["CARD", "Card", "listing", "read_card", "write_card"]  # for those who know a folder
OPTIONAL = ("standardise", "fusion")  # parts of a head that it has if its options say so; a later stage may add them
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


def plain(name: str) -> str:
    """A parameter's name without the layer that LoRA puts around it."""
    return name.replace(".base_layer.", ".")


def state(model: Network, *, keep: bool = True) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weights that no base holds, adapters), by the names they are saved under.

    Args:
        keep: False on ranks that only bring their pieces, and keep nothing.
    """
    learned, adapters = {}, {}
    inherited = getattr(model, "inherited", frozenset())
    for name, parameter in model.named_weights():
        if ".lora_" in name:
            place, saved = adapters, "base_model.model." + name.removeprefix("llm.").replace(".default.", ".")
        elif own(name) or parameter.requires_grad or plain(name) in inherited:
            place, saved = learned, plain(name)
        else:
            continue
        tensor = whole(parameter)
        if keep:
            place[saved] = tensor
    return learned, adapters


def own(name: str) -> bool:
    """Whether a parameter is ours whatever learned: all but towers and the language model, whose vocabulary grew."""
    founded = name.startswith(("llm.", *(f"{tower}." for tower in REGISTERED.values())))
    return not founded or ".embed_tokens." in name or name.startswith("llm.lm_head.")


def save(
    folder: str | Path,
    model: Network,
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    writes: bool = True,
    run: Mapping[str, Any] | None = None,
) -> None:
    """Writes a folder that `assemble` opens again, bit for bit.

    Args:
        writes: whether this rank does; the others only bring their pieces of what is shared out.
        run: the whole YAML of the run that saves.
    """
    learned, adapters = state(model, keep=writes)
    if not writes:
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / LEARNED, learned)
    if adapters:
        assert config.lora is not None  # whose adapters they are
        write(folder / ADAPTER, adapters)
        settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": config.lora.rank, "bias": "none"}
        settings |= {"lora_alpha": config.lora.alpha, "lora_dropout": config.lora.dropout}
        settings |= {"target_modules": list(config.lora.targets), "base_model_name_or_path": config.llm}
        (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2))
    tokenizer.save_pretrained(folder)
    vocabulary = model.llm.get_input_embeddings().num_embeddings
    write_card(
        folder, config, vocabulary=vocabulary, learned=learned, trained=getattr(model, "trained", ()), run=run
    )  # fmt: skip


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes aside, then renames: a file is complete or not there."""
    aside = path.with_suffix(".partial")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, aside, {"format": "pt"})
    os.replace(aside, path)


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file.

    Raises:
        ValueError: the file is broken, or missing.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); copy it again, or take an older checkpoint") from error


def load_learned(model: Network, card: Card) -> frozenset[str]:
    """Puts a folder's weights into a network that has at least the same parts; nothing is loaded half.

    Returns:
        Names of the weights that lie in that folder, whether they learn here or stay frozen.

    Raises:
        ValueError: a weight is unknown, missing, or of another shape; lists them.
    """
    tensors = read(card.folder / LEARNED)
    if card.config.lora:
        tensors |= {adapter_name(name): tensor for name, tensor in read(card.folder / ADAPTER).items()}
    parameters = {plain(name): parameter for name, parameter in model.named_weights()}
    compare_shapes(parameters, {name: tensor.shape for name, tensor in tensors.items()}, card)
    with torch.no_grad():
        for name, tensor in tensors.items():
            if parameters[name].dtype != tensor.dtype:
                parameters[name].data = parameters[name].data.to(tensor.dtype)
            fill(parameters[name], tensor)
    return frozenset(name for name in tensors if not own(name) and ".lora_" not in name)


def check_learned(model: Network, card: Card) -> None:
    """Compares a network with a folder's weights as `load_learned` would, and reads nothing of them but their shapes.

    Raises:
        ValueError: a weight is unknown, missing, or of another shape; lists them.
    """
    shapes = read_shapes(card.folder / LEARNED)
    if card.config.lora:
        shapes |= {adapter_name(name): shape for name, shape in read_shapes(card.folder / ADAPTER).items()}
    compare_shapes({plain(name): parameter for name, parameter in model.named_weights()}, shapes, card)


def read_shapes(path: Path) -> dict[str, torch.Size]:
    """The shapes of a file's tensors.

    Raises:
        ValueError: the file is broken, or missing.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); copy it again, or take an older checkpoint") from error


def adapter_name(saved: str) -> str:
    """A parameter's name in the network, of an adapter's weight as peft saves it."""
    return "llm." + saved.removeprefix("base_model.model.").replace(".weight", ".default.weight")


def compare_shapes(parameters: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], card: Card) -> None:
    """Refuses weights that do not fit a network.

    Args:
        parameters: of the network, by the names under which they are saved.
        shapes: of the weights in the folder with this card.

    Raises:
        ValueError: a weight is unknown, missing, or of another shape; lists them.
    """
    expected = card.learned | {name for name in parameters if promised(name, card)}
    faults = [f"{name} is unknown here" for name in sorted(set(shapes) - set(parameters))]
    faults += [f"{name} is missing there" for name in sorted(expected - set(shapes))]
    faults += [
        f"{name} has shape {tuple(shape)}, expected {tuple(parameters[name].shape)}"
        for name, shape in shapes.items()
        if name in parameters and parameters[name].shape != shape
    ]
    if faults:
        listed = listing(f"{card.folder}: {len(faults)} weights do not fit this model", faults)
        raise ValueError(f"{listed}; take the foundations and the heads that it was trained with")


def promised(name: str, card: Card) -> bool:
    """Whether a folder with this card has to hold the parameter `name`."""
    if name.startswith("llm."):
        return (own(name) and not card.merged) or (".lora_" in name and card.config.lora is not None)
    if not name.startswith("heads."):
        return own(name)
    head, part = name.split(".")[1:3]
    options = card.config.heads.get(head)
    return options is not None and (part not in OPTIONAL or options.get(part) not in (None, False))
