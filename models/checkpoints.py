"""Folders that say what they hold: what learned, what it learned on, and the hashes of what stayed frozen.

    ullava.json                the card: model section of the YAML, vocabulary, bases with their hashes
    learned.safetensors        every weight that no base holds
    adapter_model.safetensors, adapter_config.json    LoRA, apart, as peft reads it
    tokenizer files
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

import ullava
from ullava.configs.schema import ModelConfig
from ullava.models.shards import fill, whole
from ullava.models.ullava import REGISTERED

CARD, LEARNED = "ullava.json", "learned.safetensors"
ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Card:
    """What a folder says of itself.

    Attributes:
        folder: where it lies.
        config: the model section; `llm` is the language model's own folder.
        vocabulary: rows of the embeddings.
        bases: folder of each foundation -> sha256 of its weights.
        learned: names of the weights that no base holds.
        merged: the language model inside the folder holds all that it learned, vocabulary too.
    """

    folder: Path
    config: ModelConfig
    vocabulary: int
    bases: dict[str, str]
    learned: frozenset[str]
    merged: bool = False


def read_card(folder: str | Path) -> Card | None:
    """The card of an ullava folder; None where there is none.

    Raises:
        ValueError: the card is broken, or a base is not the one that this run was trained on.
    """
    path = Path(folder, CARD)
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text())
        config = rehouse(ModelConfig.model_validate(card["model"]), lambda base: place(folder, base))
        bases = {place(folder, base): digest for base, digest in card["bases"].items()}
        learned = frozenset(card["learned"])
        found = Card(Path(folder), config, card["vocabulary"], bases, learned, card.get("merged", False))
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path}: not a card of ullava {ullava.__version__}: {error}") from error
    for base, expected in found.bases.items():
        actual = fingerprint(base)
        if actual != expected:
            raise ValueError(
                f"{folder} was trained on {base} with sha256 {expected[:12]}, found {actual[:12]} there; put those "
                "weights back, or train again"
            )
    return found


def place(folder: str | Path, base: str) -> str:
    """Where a foundation lies: inside a merged folder, or where its path says."""
    inside = Path(folder, base)
    return str(inside) if inside.is_dir() else base


def rehouse(config: ModelConfig, to: Callable[[str], str]) -> ModelConfig:
    """`config` with the folder of each foundation as `to` says."""
    heads = {
        name: {key: to(value) if key == "sam" else value for key, value in (options or {}).items()}
        for name, options in config.heads.items()
    }
    vision = config.vision.model_copy(update={"tower": to(config.vision.tower)})
    return config.model_copy(update={"llm": to(config.llm), "vision": vision, "heads": heads})


def fingerprint(folder: str | Path) -> str:
    """sha256 of the weight files of a folder, in name order; of config.json where it holds no weights."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; a run was trained on it, put it back there")
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]) or [folder / "config.json"]
    return _fingerprint(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache
def _fingerprint(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files as they were at their size and time: a foundation is read once, not at every checkpoint."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def plain(name: str) -> str:
    """A parameter's name without the layer that LoRA puts around it."""
    return name.replace(".base_layer.", ".")


def state(model: nn.Module, *, keep: bool = True) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
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
    model: nn.Module,
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    *,
    writes: bool = True,
) -> None:
    """Writes a folder that `assemble` opens again, bit for bit.

    Args:
        writes: whether this rank does; the others only bring their pieces of what is shared out.
    """
    learned, adapters = state(model, keep=writes)
    if not writes:
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / LEARNED, learned)
    if adapters:
        write(folder / ADAPTER, adapters)
        settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": config.lora.rank, "bias": "none"}
        settings |= {"lora_alpha": config.lora.alpha, "lora_dropout": config.lora.dropout}
        settings |= {"target_modules": list(config.lora.targets), "base_model_name_or_path": config.llm}
        (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2))
    tokenizer.save_pretrained(folder)
    write_card(folder, config, vocabulary=model.llm.get_input_embeddings().num_embeddings, learned=learned)


def write_card(
    folder: Path, config: ModelConfig, *, vocabulary: int, learned: Iterable[str], merged: bool = False
) -> None:
    """Writes what `read_card` reads, last of all: a folder with a card is complete."""
    card = {
        "ullava": ullava.__version__,
        "model": config.model_dump(mode="json"),
        "vocabulary": vocabulary,
        "bases": {base: fingerprint(place(folder, base)) for base in bases(config)},
        "learned": sorted(learned),
        "merged": merged,
    }
    (folder / CARD).write_text(json.dumps(card, indent=2))


def bases(config: ModelConfig) -> list[str]:
    """Folders of the foundations that a model stands on."""
    sam = (config.heads.get("mask") or {}).get("sam")
    return [config.llm, config.vision.tower, *([sam] if sam else [])]


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


def load_learned(model: nn.Module, card: Card) -> None:
    """Puts a folder's weights into a network that has at least the same parts; nothing is loaded half.

    Raises:
        ValueError: a weight is unknown, missing, or of another shape; lists them.
    """
    tensors = read(card.folder / LEARNED)
    if card.config.lora:
        tensors |= {
            "llm." + name.removeprefix("base_model.model.").replace(".weight", ".default.weight"): tensor
            for name, tensor in read(card.folder / ADAPTER).items()
        }
    parameters = {plain(name): parameter for name, parameter in model.named_weights()}
    expected = card.learned | {name for name in parameters if promised(name, card)}
    faults = [f"{name} is unknown here" for name in sorted(set(tensors) - set(parameters))]
    faults += [f"{name} is missing there" for name in sorted(expected - set(tensors))]
    faults += [
        f"{name} has shape {tuple(tensor.shape)}, expected {tuple(parameters[name].shape)}"
        for name, tensor in tensors.items()
        if name in parameters and parameters[name].shape != tensor.shape
    ]
    if faults:
        listed = listing(f"{card.folder}: {len(faults)} weights do not fit this model", faults)
        raise ValueError(f"{listed}; take the foundations and the heads that it was trained with")
    with torch.no_grad():
        for name, tensor in tensors.items():
            if parameters[name].dtype != tensor.dtype:
                parameters[name].data = parameters[name].data.to(tensor.dtype)
            fill(parameters[name], tensor)
    model.inherited = frozenset(name for name in tensors if not own(name) and ".lora_" not in name)


def promised(name: str, card: Card) -> bool:
    """Whether a folder with this card has to hold the parameter `name`."""
    if name.startswith("llm."):
        return (own(name) and not card.merged) or (".lora_" in name and card.config.lora is not None)
    return own(name) and (not name.startswith("heads.") or name.split(".")[1] in card.config.heads)


def listing(head: str, faults: Iterable[str], limit: int = 8) -> str:
    """`head`, and the first faults."""
    faults = list(faults)
    more = [f"... and {len(faults) - limit} more"] if len(faults) > limit else []
    return "; ".join([head, *faults[:limit], *more])
