"""Writes our weights back as they are published, for the programs that read those: the tables, read the other way."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig

from ullava.configs.tokens import BEGIN, END, IMAGE, LOC, PATCH, SEG, VIDEO
from ullava.models.convert.folder import SHARD, new, section
from ullava.models.convert.kinds import STAGE_ONE, Kind, kind_of
from ullava.models.folders.checkpoints import LEARNED, read
from ullava.models.folders.manifest import Card, known, read_card, vision_of
from ullava.models.folders.trust import NEVER
from ullava.models.heads.mask import chosen
from ullava.models.segmenters import sam_weights as sam
from ullava.models.segmenters.sam import open_sam
from ullava.models.text.tokenization import open_tokenizer
from ullava.models.weights.files import PICKLES, open_weights
from ullava.models.weights.progress import progress

TOWERS = {"sam_encoder.": "sam.vision_encoder.", "heads.mask.mask_decoder.": "sam.mask_decoder."}  # learned -> base
PROJECTORS = {"linear": "mlp", "mlp2": "mlp2x"}  # u-LLaVA's names


def export_sam(source: str | Path, destination: str | Path) -> Path:
    """Writes a SAM as segment-anything's own file, with what a run has taught it.

    Args:
        source: a SAM's folder or file, or the folder of a run or a merged model.
        destination: the file to write, .pth.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: there is something already; there is no SAM; it is broken.
    """
    target = new(destination)
    if target.suffix not in PICKLES:
        raise ValueError(f"{destination}: expected a file that ends in {' or '.join(PICKLES)}")
    card = read_card(source) if Path(source).is_dir() else None
    if card and "mask" not in card.config.heads:
        raise ValueError(f"{source}: has no mask head, and so no SAM")
    whole = open_sam(sam_of(card) if card else str(source), from_scratch=False, dtype=torch.float32)
    tensors = under("sam.", whole[0].state_dict())
    if card:
        tensors |= {name: tensor for name, tensor in taught(card).items() if name.startswith("sam.")}
    save({"": sam.TABLE.write(section(tensors, "sam."))}, lambda _: target)
    return target


def export_ullava(source: str | Path, destination: str | Path, kind: str = "ullava") -> Path:
    """Writes a whole model as u-LLaVA's release does; a model without heads as its first stage.

    Args:
        source: a merged folder.
        destination: the folder to write: config.json, pytorch_model*.bin, tokenizer.
        kind: "ullava" or "ullava_v1", which has no boxes.

    Raises:
        FileExistsError, FileNotFoundError, LookupError, ValueError: there is something already; not merged; the
            release has no place for what the model has learned.
    """
    target, card = new(destination), known(source)
    if not card.merged or card.config.lora:
        raise ValueError(f"{source}: stands on other folders; make it whole first: ullava merge {source} DST")
    what = kind_of(kind) if card.config.heads else STAGE_ONE
    if set(what.heads) != set(card.config.heads):
        have, want = (", ".join(sorted(heads)) or "none" for heads in (card.config.heads, what.heads))
        raise ValueError(f"{source}: has the heads {have}; {kind} has {want}")
    theirs = what.table.write(gathered(card))
    aside = target.with_name(f"{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write_shards(aside, theirs)
    (aside / "config.json").write_text(json.dumps(config_of(card, what), indent=2))
    write_tokenizer(card.folder, aside)
    os.replace(aside, target)
    return target


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with something before their names."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def taught(card: Card) -> dict[str, Tensor]:
    """What a folder has learned, by the names of `kinds.py`."""
    found = {}
    for name, tensor in read(card.folder / LEARNED).items():
        for ours, base in TOWERS.items():
            name = base + name.removeprefix(ours) if name.startswith(ours) else name
        if name.startswith("vision_module."):
            name = "vision.vision_model." + name.removeprefix("vision_module.").removeprefix("vision_model.")
        found[name] = tensor
    return found


def sam_of(card: Card) -> str:
    """The folder or file of the SAM that a card's mask head stands on.

    Raises:
        ValueError: it stands on another segmenter, which the published program does not know.
    """
    options = card.config.heads["mask"]
    segmenter, place = chosen(options.get("segmenter", "sam"), options.get("weights"), options.get("sam"))
    if segmenter != "sam":
        raise ValueError(f"{card.folder}: its masks come from the segmenter {segmenter!r}; only a SAM can be exported")
    return place


def gathered(card: Card) -> dict[str, Tensor]:
    """Every weight of a merged folder, by the names of `kinds.py`."""
    llm, eyes = open_weights(card.config.llm), open_weights(vision_of(card.config).tower)
    bare = {name.removeprefix("vision_model."): tensor for name, tensor in eyes.items()}
    found = under("llm.", llm) | under("vision.vision_model.", bare)
    found.pop("vision.vision_model.embeddings.position_ids", None)
    if "mask" in card.config.heads:
        whole, _ = open_sam(sam_of(card), from_scratch=False, dtype=torch.float32)
        found |= under("sam.", whole.state_dict())
    return found | taught(card)


def save(shards: Mapping[str, Mapping[str, Tensor]], place: Any) -> None:
    """Writes each shard aside, then renames it; copies, for a view would drag its whole file along."""
    for name, tensors in progress(shards.items(), "exporting"):
        path: Path = place(name)
        aside = path.with_suffix(".partial")
        torch.save({key: tensor.detach().cpu().contiguous().clone() for key, tensor in tensors.items()}, aside)
        os.replace(aside, path)


def write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """pytorch_model.bin, or several and their index."""
    groups: list[dict[str, Tensor]] = [{}]
    for name, tensor in tensors.items():
        if groups[-1] and sum(t.nbytes for t in groups[-1].values()) + tensor.nbytes > SHARD:
            groups.append({})
        groups[-1][name] = tensor
    if len(groups) == 1:
        names = ["pytorch_model.bin"]
    else:
        names = [f"pytorch_model-{n:05}-of-{len(groups):05}.bin" for n in range(1, len(groups) + 1)]
        places = {name: file for file, group in zip(names, groups, strict=True) for name in group}
        index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": places}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1))
    save(dict(zip(names, groups, strict=True)), folder.joinpath)


def plain(config: PretrainedConfig) -> dict[str, Any]:
    """A config as transformers 4 wrote it."""
    held = config.to_dict()
    rope = held.pop("rope_parameters", None)
    turned = {"rope_theta": rope.get("rope_theta", 10000.0)} if rope else {}
    return held | turned | {"torch_dtype": held.pop("dtype", None)}


def config_of(card: Card, kind: Kind) -> dict[str, Any]:
    """u-LLaVA's config.json."""
    tokenizer, seeing = open_tokenizer(card.folder), vision_of(card.config)
    eyes = AutoConfig.from_pretrained(seeing.tower, **NEVER)
    id_of = tokenizer.convert_tokens_to_ids
    marks = {"IMG": IMAGE, "VID": VIDEO}
    tokens = {f"{name}_{place}": id_of(of[mark]) for name, mark in marks.items()
              for place, of in (("PATCH", PATCH), ("START", BEGIN), ("END", END))}  # fmt: skip
    core = plain(AutoConfig.from_pretrained(card.config.llm, **NEVER)) | {
        "model_type": "ullava_core", "architectures": ["UllavaCoreForCausalLM"], "mm_token_ids": tokens,
        "vision_config": plain(getattr(eyes, "vision_config", eyes)), "vision_hidden_layer": seeing.layer,
        "projector_type": PROJECTORS[card.config.projector], "projector_from_scratch": False,
    }  # fmt: skip
    if not kind.heads:
        return core
    width = AutoConfig.from_pretrained(sam_of(card), **NEVER).mask_decoder_config.hidden_size
    spelt = card.config.tokens
    owners = {"seg_token_idx": id_of(spelt.get("SEG", SEG)), "loc_token_idx": id_of(spelt.get("LOC", LOC))}
    return {
        "model_type": "ullava", "architectures": ["UllavaForCausalLM"], "llm_config": core, "out_dim": width,
        "train_mask_decoder": True, "ce_weight": 1.0, "bce_weight": 2.0, "dice_weight": 0.5, "l1_weight": 1.0,
        "iou_weight": 1.0, "torch_dtype": core["torch_dtype"],
    } | {name: value for name, value in owners.items() if name != "loc_token_idx" or "box" in kind.heads}  # fmt: skip


def write_tokenizer(source: Path, folder: Path) -> None:
    """The tokenizer's files, and for programs of its day the tokens that were added to its SentencePiece."""
    tokenizer: Any = open_tokenizer(source)  # its base class does not declare `get_added_vocab`
    tokenizer.save_pretrained(folder)
    if (source / "tokenizer.model").is_file():
        shutil.copy(source / "tokenizer.model", folder)
        base = {str(token) for token in (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) if token}
        added = {token: n for token, n in tokenizer.get_added_vocab().items() if token not in base}
        (folder / "added_tokens.json").write_text(json.dumps(added, indent=2))
