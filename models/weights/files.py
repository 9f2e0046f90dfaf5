"""Reads weights as they are published: one file or many, safetensors or PyTorch's pickles, or a DeepSpeed folder.

Tensors stay on the disk until somebody touches them, so a folder may be larger than the memory.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ullava.models.weights.progress import progress

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")
PICKLES = (".bin", ".pt", ".pth")
DEEPSPEED = "mp_rank_00_model_states.pt"
WRAPPERS = ("model", "state_dict", "module")  # keys under which programs put the weights
BROKEN = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, SafetensorError, KeyError, zipfile.BadZipFile)


def open_weights(source: str | Path, *, trust: bool = False) -> dict[str, Tensor]:
    """Every tensor of a checkpoint, by its published name.

    Args:
        source: a file, or a folder with one of `WHOLE`, with shards and their index, or of DeepSpeed.
        trust: admit pickles that may run code, and with them DeepSpeed's folders.

    Raises:
        FileNotFoundError: nothing there, or a shard is missing.
        ValueError: broken, or no checkpoint.
    """
    source = Path(source)
    if source.is_file():
        return read_file(source, trust=trust)
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such file or folder; expected a published checkpoint")
    for name in INDEXES:
        if (source / name).is_file():
            return read_shards(source / name, trust=trust)
    for name in WHOLE:
        if (source / name).is_file():
            return read_file(source / name, trust=trust)
    return read_deepspeed(source, trust=trust)


def read_shards(index: Path, *, trust: bool) -> dict[str, Tensor]:
    """The tensors that an index lists.

    Raises:
        FileNotFoundError: lists the shards that are missing.
        ValueError: the shards do not hold what the index says.
    """
    try:
        places = json.loads(index.read_text())["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{index}: no index of shards ({error}); fetch it again") from error
    shards = sorted(set(map(str, places.values())))
    astray = [name for name in shards if Path(name).name != name]
    if astray:
        raise ValueError(f"{index}: names {astray[0]!r} as a shard; expected files beside it")
    absent = [name for name in shards if not (index.parent / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{index}: lists {len(shards)} shards, missing: {', '.join(absent)}; fetch them")
    tensors: dict[str, Tensor] = {}
    for name in progress(shards, f"opening {index.parent.name}"):
        tensors |= read_file(index.parent / name, trust=trust)
    lost = sorted(set(places) - set(tensors))
    if lost:
        raise ValueError(f"{index}: lists {len(lost)} tensors that its shards lack: {', '.join(lost[:5])}")
    return tensors


def read_deepspeed(folder: Path, *, trust: bool) -> dict[str, Tensor]:
    """The weights of a DeepSpeed folder, of stages 0 to 2, in the precision of the run.

    Raises:
        FileNotFoundError: it is none.
        ValueError: not trusted, or of stage 3, in pieces.
    """
    tag = (folder / "latest").read_text().strip() if (folder / "latest").is_file() else "."
    path = folder / tag / DEEPSPEED
    if not path.is_file():
        if any((folder / tag).glob("zero_pp_rank_*_model_states.pt")):
            raise ValueError(f"{folder}: weights in pieces (ZeRO stage 3); run its zero_to_fp32.py first, convert that")
        raise FileNotFoundError(f"{folder}: no weights; expected {', '.join((*WHOLE, *INDEXES))} or DeepSpeed's folder")
    if not trust:
        raise ValueError(f"{path}: DeepSpeed's pickles may run code; add --trust if this folder is your own")
    return read_file(path, trust=True)


def read_file(path: Path, *, trust: bool = False) -> dict[str, Tensor]:
    """The tensors of one file.

    Raises:
        ValueError: broken, or no checkpoint, or a pickle that may run code.
    """
    try:
        held = load_file(path) if path.suffix == ".safetensors" else unpickle(path, trust=trust)
    except BROKEN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        cure = "it is cut off or no checkpoint: fetch it again"
        if isinstance(error, pickle.UnpicklingError):  # PyTorch's own words are a page
            reason = "no pickle of tensors"
            if "GLOBAL" in str(error):
                reason, cure = "its pickle names code that tensors do not need", "if you trust who wrote it: --trust"
        raise ValueError(f"{path}: cannot be read ({reason}); {cure}") from error
    return unwrap(held, path)


def unpickle(path: Path, *, trust: bool) -> Any:
    """What PyTorch saved."""
    return torch.load(path, map_location="cpu", weights_only=not trust, mmap=zipfile.is_zipfile(path) or None)


def unwrap(held: Any, path: Path) -> dict[str, Tensor]:
    """The weights in what a file holds, without what programs put around them and before their names.

    Raises:
        ValueError: there are none.
    """
    for key in WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise ValueError(f"{path}: holds no weights by name, found {type(held).__name__}; expected a checkpoint")
    bare = all(name.startswith("module.") for name in held)
    return {name.removeprefix("module.") if bare else name: tensor for name, tensor in held.items()}
