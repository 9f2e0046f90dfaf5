"""u-LLaVA's own configuration files, read unchanged: what they mean in our words, and which of their keys mean nothing.

A file of either release (OPPOMKLab/u-LLaVA, `configs/`) becomes a tree that the schema takes. The same tree is said as
YAML, with a comment for each key that had no effect there, or has no counterpart here: it may be saved and used.
"""

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

import yaml

from ullava.configs.legacy_data import dataset_entry, evaluation_rows, training_row
from ullava.configs.legacy_words import (
    ARCHITECTURES,
    CONVERSATIONS,
    DEEPSPEED,
    DROPPED,
    IDLE,
    KNOWN,
    LOSSES,
    NUMBERS,
    PROJECTORS,
    ROOTS,
    SCHEDULES,
    TEXTS,
    TRAINING,
    Notes,
)
from ullava.configs.registry import nearest
from ullava.configs.yaml12 import ConfigError, read_yaml, short

THEIRS = {"task", "processor", "dataset", "eval_dataset"}  # roots that ours has not
OURS = {"output_dir", "learn", "data", "datasets", "evaluate"}  # roots that theirs has not
FILLING = Path(__file__).parent / "train" / "ullava_stage2_lora.yaml"  # what a file of nothing but data is laid over
Tree = dict[str, Any]


def modern(tree: Tree, path: Path) -> Tree:
    """Returns `tree`, or the translation of one of u-LLaVA's, which the first rank announces once.

    Raises:
        ConfigError: every key that u-LLaVA does not know or that means nothing here, one per line.
    """
    if not THEIRS & tree.keys() or OURS & tree.keys():
        return tree
    notes = Notes()
    meant = translate(tree, path.stem, notes)
    if notes.faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in notes.faults))
    text = yaml.dump(meant, Dumper=Spelt, sort_keys=False, default_flow_style=None, width=120)
    announce("\n".join([f"# {path} is one of u-LLaVA's files; it means:", *notes.comments, text]))
    return meant


class Spelt(yaml.SafeDumper):
    """Dumps repeated values in full instead of by YAML anchors such as `&id001`."""

    def ignore_aliases(self, data):
        return True


@cache
def announce(text: str) -> None:
    """Says it once in a process, and in one process of several."""
    if os.environ.get("RANK", "0") == "0":
        logging.getLogger(__name__).warning(text)


def translate(tree: Tree, stem: str, notes: Notes) -> Tree:
    """Translates u-LLaVA's `tree`; faults and remarks go to `notes`. `stem` is the file's name."""
    check_keys(tree, notes)
    if notes.faults:
        return {}
    asks = (tree.get("task") or {}).get("type") == "image_text_evaluate"
    if asks or not tree.get("dataset"):
        return evaluation(tree, stem, notes)
    if not {"model", "training"} & tree.keys():
        return filled(tree, notes)
    if missing := [root for root in ("model", "training") if root not in tree]:
        notes.refuse(f"key {missing[0]!r} is missing")
        return {}
    return stage(tree, notes)


def check_keys(tree: Tree, notes: Notes) -> None:
    """Compares all keys with those of u-LLaVA's programs; remarks on the ones that never did anything."""
    for root, section in tree.items():
        if root not in ROOTS:
            notes.refuse(f"no key {root!r}; {nearest(root, ROOTS)}")
        elif not isinstance(section, dict):
            notes.refuse(f"{root}: expected keys and values, found {short(section)}")
        else:
            named = section.items() if root in ("processor", "dataset", "eval_dataset") else [(None, section)]
            for name, keys in named:
                check_section(f"{root}.{name}" if name else root, root, keys, notes)


def check_section(where: str, root: str, keys: Any, notes: Notes) -> None:
    """Compares the keys of one section with the known ones of its root."""
    if not isinstance(keys, dict):
        notes.refuse(f"{where}: expected keys and values, found {short(keys)}")
        return
    for key, value in keys.items():
        if key not in KNOWN[root]:
            notes.refuse(f"{where}: no key {key!r}; {nearest(key, KNOWN[root])}")
        elif key == "build_info":
            check_section(f"{where}.{key}", "build_info", value, notes)
        elif why := IDLE.get((root, key)):
            notes.say(f"{root.removeprefix('eval_')}.{key} never had an effect in u-LLaVA: {why}")
        elif why := DROPPED.get((root, key)):
            notes.say(f"{root.removeprefix('eval_')}.{key} is not needed: {why}")
        elif key in NUMBERS and not isinstance(value, (int, float)):
            notes.refuse(f"{where}.{key}: expected a number, found {short(value)}")
        elif key in TEXTS and not isinstance(value, (str, NoneType)):
            notes.refuse(f"{where}.{key}: expected a name or a path, found {short(value)}")


def release(tree: Tree) -> str:
    """Which of u-LLaVA's releases a file is of; they answer in other words, and the first has no box head."""
    first = (tree.get("task") or {}).get("collator_type") == "segmentation_collator"
    return "ullava_v1" if first or "grounding_path" in (tree.get("model") or {}) else "ullava"


def stage(tree: Tree, notes: Notes) -> Tree:
    """A stage of training."""
    model, how, core = tree["model"], tree["training"], tree["model"].get("arch") == "ullava_core"
    if (arch := model.get("arch")) not in ARCHITECTURES:
        notes.refuse(f"model.arch: expected {' or '.join(ARCHITECTURES)}, found {short(arch)}")
    if missing := [key for key, section in (("llm_path", model), ("learning_rate", how)) if key not in section]:
        notes.refuse(*(f"key {key!r} is missing" for key in missing))
    if notes.faults:
        return {}
    meant: Tree = {"output_dir": plain(how.get("output_dir") or "runs/ullava")}
    meant["model"] = network(tree, core, notes)
    meant["learn"] = dict.fromkeys(learning(model, core), how["learning_rate"])
    if core and model.get("projector_from_scratch"):
        meant["new_embeddings_only"] = True
    if not core:
        meant["losses"] = {ours: model.get(theirs, usual) for theirs, (ours, usual) in LOSSES.items()}
    meant |= mixture(tree, notes)
    asked = how.get("evaluation_strategy") or how.get("eval_strategy") or "no"
    if tree.get("eval_dataset") and asked != "no":
        if asked != "epoch":
            notes.say(f"training.evaluation_strategy {asked}: here at the end of every epoch")
        evaluated = evaluation_rows(tree["eval_dataset"], release(tree), None, notes)
        meant["datasets"] |= evaluated["datasets"]
        meant["evaluate"] = evaluated["evaluate"]
    meant["training"] = training(how, core, notes)
    if scheme := how.get("deepspeed"):
        shipped = None if Path(scheme).is_file() else DEEPSPEED.get((release(tree), Path(scheme).name))
        meant["training"]["deepspeed"] = shipped or plain(scheme)
    return meant


def network(tree: Tree, core: bool, notes: Notes) -> Tree:
    """Our `model:`."""
    model, processors = tree["model"], tree.get("processor") or {}
    clip = processors.get("clip_image") or {}
    frames = [p["n_frm"] for p in processors.values() if "n_frm" in p]
    meant: Tree = {"llm": plain(model["llm_path"])}
    if tower := model.get("vision_encoder") or clip.get("path"):
        aspect = "pad" if clip.get("aspect_ratio") == "pad" else "crop"
        meant["vision"] = {"tower": plain(tower), "layer": model.get("vision_hidden_layer", -2), "aspect": aspect}
        meant["vision"] |= {"frames": frames[0]} if frames else {}
        if {"gif_train", "video_train"} & processors.keys():  # they draw frames from either half of a film
            meant["vision"]["sampling"] = "head_tail"
    meant["projector"] = PROJECTORS.get(kind := model.get("projector_type", "mlp"), kind)
    meant["conversation"] = CONVERSATIONS.get(kind := model.get("conv_type", "conv_sep2"), kind)
    if core:
        return meant
    if (rank := model.get("lora_r", -1)) > 0:
        targets = model.get("lora_target_modules", "q_proj,v_proj")
        meant["lora"] = {"rank": rank, "alpha": model.get("lora_alpha", 16), "dropout": model.get("lora_dropout", 0.05)}
        meant["lora"]["targets"] = targets.split(",") if isinstance(targets, str) else targets
    meant["heads"] = {"mask": {"sam": plain(model.get("sam_pretrained", "./path_to_sam/sam_vit_h_4b8939.pth"))}}
    if release(tree) == "ullava":
        meant["heads"]["box"] = {}
    else:
        notes.say("the first release has no box head: its answers say [SEG] alone (phrases: ullava_v1)")
    return meant


def learning(model: Mapping[str, Any], core: bool) -> tuple[str, ...]:
    """Parts that learn."""
    if core:
        scratch = ("projector", "embeddings")
        return scratch if model.get("projector_from_scratch") else (*scratch, "llm", "lm_head")
    whole = ("lora",) if model.get("lora_r", -1) > 0 else ("projector", "llm")
    decoder = ("mask_decoder",) if model.get("train_mask_decoder", True) else ()
    return (*whole, "embeddings", "lm_head", *decoder, "heads")


def mixture(tree: Tree, notes: Notes) -> Tree:
    """Our `data:` and `datasets:`."""
    rows, entries = [], {}
    for name, section in tree["dataset"].items():
        entry, row = dataset_entry(name, section, notes), training_row(name, section, release(tree), notes)
        if entry and row:
            entries[name] = entry
            rows.append(row)
    if not rows and not notes.faults:
        notes.refuse("dataset: every portion is 0; expected one above")
    return {"data": rows, "datasets": entries}


def filled(tree: Tree, notes: Notes) -> Tree:
    """A file of nothing but datasets, as u-LLaVA's README shows one: all else is our recipe's."""
    recipe = read_yaml(FILLING)
    notes.say(f"it names data only; all else is configs/train/{FILLING.name}, without its evaluation")
    return {key: recipe[key] for key in ("output_dir", "model", "learn", "losses", "training")} | mixture(tree, notes)


def training(how: Mapping[str, Any], core: bool, notes: Notes) -> Tree:
    """Our `training:`."""
    meant = {ours: how[theirs] for theirs, ours in TRAINING.items() if how.get(theirs) is not None}
    meant.setdefault("max_length", 512)
    meant["precision"] = "bf16" if how.get("bf16") else "fp16" if how.get("fp16") else "fp32"
    meant["schedule"] = SCHEDULES.get(kind := how.get("lr_scheduler_type", "linear"), kind)
    meant["gradient_checkpointing"] = bool(how.get("gradient_checkpointing")) or not core
    if not core and not how.get("gradient_checkpointing"):
        notes.say("training.gradient_checkpointing: false never had an effect in u-LLaVA: stage II turned it on")
    if how.get("save_strategy", "steps") == "steps":
        meant["save_every"] = how.get("save_steps", 500)
    if beta := {key: how[key] for key in ("adam_beta1", "adam_beta2") if key in how}:
        meant["betas"] = [beta.get("adam_beta1", 0.9), beta.get("adam_beta2", 0.999)]
    return meant


def evaluation(tree: Tree, stem: str, notes: Notes) -> Tree:
    """Translates a batch evaluation."""
    model, how = tree.get("model") or {}, tree.get("training") or {}
    for key, value in (("model.llm_path", model.get("llm_path")), ("eval_dataset", tree.get("eval_dataset"))):
        if not value:
            notes.refuse(f"key {key!r} is missing")
    if notes.faults:
        return {}
    folder = plain(model["llm_path"])
    meant: Tree = {"output_dir": plain(how.get("output_dir") or f"{folder}/{stem}"), "model": folder}
    meant |= evaluation_rows(tree["eval_dataset"], release(tree), model.get("grounding_path"), notes)
    notes.say("answers are generated, each question in a conversation of its own; u-LLaVA read given answers, all")
    notes.say("phrases of an object in one conversation: evaluate.0.answers=given is the nearer to its figures")
    return meant | {"generation": {"precision": "bf16", "seed": how.get("seed", 42)}}


def plain(path: str) -> str:
    """A path without its `./`."""
    return str(Path(path))
