"""Writes a published model as a folder of ours: whole, movable, and opened by `models/assembly.py: reopen`.

The layout is that of `ullava merge`: llm/, vision/, sam/, learned.safetensors, a tokenizer and the card. Weights keep
their published precision; the language model goes from disk to disk, shard by shard.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import SamModel

from ullava.configs.schema import LoraConfig, ModelConfig, VisionConfig
from ullava.models.convert.adapters import WRAPPED, find_adapters, write_adapters
from ullava.models.convert.kinds import Aspect, Kind, kind_of
from ullava.models.convert.merge import LLM, OTHER_FRAMEWORKS, SAM, VISION
from ullava.models.convert.parts import Parts, config_of, measure, preprocessing, shapes
from ullava.models.folders.checkpoints import LEARNED, write, write_card
from ullava.models.heads.keyword_reader import PUBLISHED
from ullava.models.segmenters.sam import MEAN, STD
from ullava.models.segmenters.sam_weights import open_file
from ullava.models.text.tokenization import legacy, open_tokenizer
from ullava.models.weights.files import open_weights
from ullava.models.weights.progress import progress

SHARD = 4 * 2**30  # bytes of one file of the language model


def convert(
    kind: str,
    source: str | Path,
    destination: str | Path,
    *,
    vision: str | None = None,
    base: str | None = None,
    sam_heads: int | None = None,
    trust: bool = False,
) -> Path:
    """Writes a published model as a folder of ours.

    Args:
        kind: a name in `kinds.py`.
        source: its folder.
        destination: the folder to write.
        vision: folder of its CLIP, for kinds that do not hold it; else of its preprocessor_config.json.
        base: folder of the language model that `source` holds the difference from (LLaVA v1's delta weights).
        sam_heads: of the mask decoder's attention, where it is not published SAM's 8.
        trust: admit pickles that may run code.

    Raises:
        FileExistsError: there is something at `destination`.
        FileNotFoundError, LookupError, ValueError: what is there is not whole, or not of that kind; lists the keys.
    """
    source, target = Path(source), new(destination)
    settings = config_of(source)
    what = kind_of(kind, settings.get("model_type"))
    theirs = {WRAPPED.sub("", name): tensor for name, tensor in open_weights(source, trust=trust).items()}
    parts = measure(what, settings, theirs, str(source), vision=vision, sam_heads=sam_heads)
    ours, unknown = what.table.read(theirs)
    adapters, lora = find_adapters(source, ours, trust=trust)
    whole = ours | {f"llm.{name}": tensor for name, tensor in adapters.items()}
    what.table.check(whole, unknown, shapes(what, parts, lora), str(source))
    finish = onto(base, trust=trust) if base else lambda name, tensor: tensor
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_llm(partial / LLM, parts, section(ours, "llm."), finish)
    write_vision(partial / VISION, parts, section(ours, "vision.") if what.sees else None, vision or source)
    if parts.sam:
        write_sam(partial / SAM, parts, section(ours, "sam."))
    known = write_tokenizer(source, partial, parts.llm.vocab_size)
    aspect: Aspect = "pad" if settings.get("image_aspect_ratio") == "pad" else what.aspect
    config = model_section(what, parts, lora, spelling(what, known), aspect)
    learned = {name: t for name, t in ours.items() if name.startswith(("projector.", "heads."))}
    learned |= {f"heads.mask.{n}": t for n, t in section(ours, "sam.").items() if n.startswith("mask_decoder.")}
    write(partial / LEARNED, learned)
    if adapters and lora:
        write_adapters(partial, adapters, lora)
    write_card(partial, config, vocabulary=parts.llm.vocab_size, learned=learned, merged=True)
    os.replace(partial, target)
    return target


def new(destination: str | Path) -> Path:
    """A place where nothing is.

    Raises:
        FileExistsError: there is something.
    """
    if Path(destination).exists():
        raise FileExistsError(f"{destination}: exists already; name another place, or remove this one")
    return Path(destination)


def section(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def spelling(kind: Kind, known: Collection[str]) -> dict[str, str]:
    """`model.tokens` of a checkpoint that knows these tokens.

    LLaVA's marks around a picture may be missing, and then nothing stands around one; where `<im_patch>` is missing
    `<unk>` holds the places of a picture's features, which no text can say either.
    """
    absent = {"IMAGE_BEGIN": "", "IMAGE_END": "", "IMAGE_PATCH": "<unk>"}
    return {name: spelt if spelt in known else absent.get(name, spelt) for name, spelt in kind.tokens.items()}


def model_section(
    kind: Kind, parts: Parts, lora: LoraConfig | None, tokens: dict[str, str], aspect: Aspect
) -> ModelConfig:
    """What a YAML would say of this model."""
    heads: dict[str, dict[str, Any]] = {name: {} for name in kind.heads}
    if "mask" in heads:
        heads["mask"]["sam"] = SAM
    if parts.fusion:
        heads["mask"]["fusion"] = PUBLISHED | {"attention": parts.fusion}
    if "box" in heads:
        heads["box"]["channels"] = parts.channels
    return ModelConfig(
        llm=LLM, vision=VisionConfig(tower=VISION, layer=parts.layer, aspect=aspect), projector=parts.projector,
        conversation=kind.conversation, lora=lora, heads=heads, tokens=tokens, tokenization="legacy",
    )  # fmt: skip


def onto(base: str, *, trust: bool) -> Callable[[str, Tensor], Tensor]:
    """Adds a base's weights to differences from it; a vocabulary that grew keeps its new rows (LLaVA's apply_delta)."""
    held = open_weights(base, trust=trust)

    def add(name: str, tensor: Tensor) -> Tensor:
        if name not in held:
            raise ValueError(f"{base}: {name} is missing; expected the model that the delta weights were taken from")
        old, found = held[name], tensor.clone()
        if old.ndim != found.ndim or any(a > b for a, b in zip(old.shape, found.shape, strict=True)):
            raise ValueError(f"{base}: {name} has shape {tuple(old.shape)}, the delta {tuple(found.shape)}")
        found[tuple(slice(length) for length in old.shape)] += old.to(found.dtype)
        return found

    return add


def write_llm(
    folder: Path, parts: Parts, tensors: Mapping[str, Tensor], finish: Callable[[str, Tensor], Tensor]
) -> None:
    """The language model as any program opens it; no more than one shard is in memory."""
    folder.mkdir()
    parts.llm.architectures = ["LlamaForCausalLM"]
    parts.llm.save_pretrained(folder)
    groups: list[list[str]] = [[]]
    room = SHARD
    for name, tensor in tensors.items():
        if ".lora_" in name:
            continue
        if tensor.nbytes > room and groups[-1]:
            groups.append([])
            room = SHARD
        groups[-1].append(name)
        room -= tensor.nbytes
    places = {}
    for number, names in enumerate(progress(groups, "writing the language model"), 1):
        file = f"model-{number:05}-of-{len(groups):05}.safetensors" if len(groups) > 1 else "model.safetensors"
        held = {name: finish(name, tensors[name]).contiguous() for name in names}
        save_file(held, folder / file, {"format": "pt"})
        places |= dict.fromkeys(names, file)
    if len(groups) > 1:
        total = {"total_size": sum(tensors[name].nbytes for name in places)}
        index = {"metadata": total, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1))


def write_vision(folder: Path, parts: Parts, tensors: Mapping[str, Tensor] | None, source: str | Path) -> None:
    """CLIP's folder: copied, or written where the checkpoint holds it."""
    if tensors is None:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*OTHER_FRAMEWORKS))
        return
    folder.mkdir()
    parts.vision.architectures = ["CLIPVisionModel"]
    parts.vision.save_pretrained(folder)
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    said = Path(source, "preprocessor_config.json")
    text = said.read_text() if said.is_file() else json.dumps(preprocessing(parts), indent=1)
    (folder / "preprocessor_config.json").write_text(text)


def write_sam(folder: Path, parts: Parts, tensors: Mapping[str, Tensor]) -> None:
    """SAM's folder, as transformers lays it out."""
    assert parts.sam is not None  # its tensors were in the file
    with torch.device("meta"):
        sam = SamModel(parts.sam)
    sam.load_state_dict(dict(tensors), assign=True)
    save_sam(sam, folder)


def convert_sam(source: str | Path, destination: str | Path, *, heads: int | None = None, trust: bool = False) -> Path:
    """Writes segment-anything's file as the folder of a SAM, which `model.heads.mask.sam` names."""
    target, sam = new(destination), open_file(source, heads=heads, trust=trust)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_sam(sam, partial)
    os.replace(partial, target)
    return target


def save_sam(sam: SamModel, folder: Path) -> None:
    """A SAM's folder, with the mean and deviation of its pictures."""
    sam.save_pretrained(folder)
    settings = {"image_processor_type": "SamImageProcessor", "image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=1))


def write_tokenizer(source: Path, folder: Path, rows: int) -> set[str]:
    """The tokenizer under its old rule, and the file that published programs read; returns the tokens it knows.

    Raises:
        ValueError: it knows more tokens than the model has rows for.
    """
    tokenizer = open_tokenizer(source)
    if len(tokenizer) > rows:
        raise ValueError(f"{source}: the tokenizer knows {len(tokenizer)} tokens, the model {rows}; one is of another")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token  # as all of these programs do
    for place in (folder, folder / LLM):
        legacy(tokenizer).save_pretrained(place)
        if (source / "tokenizer.model").is_file():
            shutil.copy(source / "tokenizer.model", place)
    return set(tokenizer.get_vocab())
