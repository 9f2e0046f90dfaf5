"""The YAML files beside own data: how it is trained on and evaluated, ready to run, and the commands that do so."""

import json
import math
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import yaml

import ullava.models
from ullava.configs.legacy import Spelt
from ullava.configs.load import CONFIGS, read_yaml
from ullava.configs.schema import ModelConfig
from ullava.models.folders.manifest import CARD, open_card

ZOO = Path(ullava.models.__path__[0]).resolve() / "zoo" / "tiny"
REAL = CONFIGS / "train" / "ullava_stage2_lora.yaml"  # whose rates and adapters real weights take
STEPS, BATCH = 300, 6  # of the tiny foundations: two to three minutes of CPU
REAL_STEPS, REAL_BATCH, REAL_EPOCHS = 200, 16, 5  # the least number of steps; pictures a step; passes at least
Tree = dict[str, Any]
GENERATION: Tree = {"batch_size": 8, "max_new_tokens": 64, "workers": 0}


@dataclass(frozen=True, slots=True)
class Material:
    """What a recipe trains on.

    Attributes:
        name: of the dataset.
        entries: its catalogue entries.
        train, val: which of them is trained on, and which is held out; None where nothing is.
        tasks: task -> how many records it has in `train`.
        picture, phrase: one of `train`, to be asked for.
    """

    name: str
    entries: Mapping[str, Tree]
    train: str
    val: str | None
    tasks: Mapping[str, int]
    picture: Path
    phrase: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """The two YAML files' text, and the commands that come next."""

    train: str
    evaluate: str
    commands: tuple[str, ...]


def write_recipe(material: Material, folder: Path, model: str | None) -> Recipe:
    """The recipe that goes on from `model`, or from the tiny foundations of this package.

    Args:
        folder: where the files will lie.
        model: folder of a run or of opened published weights; None: the tiny foundations.

    Raises:
        FileNotFoundError: `model` holds no card.
    """
    run = free(Path("runs", material.name))
    commands = next_commands(material, folder, run)
    real = going_on(material, model)
    sections = real if model else tiny(material)
    head = [f"# Training on the own pictures `{material.name}`: {material.train}, {', '.join(material.tasks)}."]
    head += [f"#   {command}" for command in commands]
    tail = []
    if model:
        head += [f"# LoRA on {model}. Adapters and rates are those of configs/train/ullava_stage2_lora.yaml."]
    else:
        head += [
            "# It stands on the tiny foundations of this package, which know drawn shapes only: enough to see that it",
            "# runs, and to learn a few pictures by heart. For real answers put real weights in their place, as below.",
        ]
        tail = [
            "",
            "# Real weights, on a GPU: these sections in place of those above. `ullava prepare own ... --model RUN`",
            "# writes them for a run, or for published weights that `ullava convert` opened.",
            *(f"# {line}" for line in dump(real).splitlines()),
        ]  # fmt: skip
    tree = {"output_dir": str(run), **sections, "datasets": dict(material.entries), **watching(material, sections)}
    train = "\n".join([*head, dump(tree).rstrip(), *tail]) + "\n"
    return Recipe(train, evaluation(material, run, sections, commands), commands)


def evaluation(material: Material, run: Path, sections: Tree, commands: Sequence[str]) -> str:
    """The text of the evaluation's YAML."""
    rows = [row for name in (material.val, material.train) if name for row in questions(sections, name, 100)]
    if material.val:
        note = f"{material.val} is held out, {material.train} was trained on: the difference was learned by heart."
    else:
        note = "All of these pictures were trained on, and none is held out: the scores say what was learned by heart."
    head = [
        f"# What {run} answers about the own pictures `{material.name}`; with `model=FOLDER`, what another model does.",
        f"#   {commands[2]}",
        f"# {note}",
    ]
    tree = {
        "output_dir": str(run / "eval"), "model": str(run), "evaluate": rows, "datasets": dict(material.entries),
        "generation": GENERATION | {"precision": sections["training"]["precision"]},
    }  # fmt: skip
    return "\n".join([*head, dump(tree)])


def watching(material: Material, sections: Tree) -> Tree:
    """The sections that evaluate while training: a few held-out questions at the end of each epoch."""
    if not material.val:
        return {}
    return {"evaluate": questions(sections, material.val, 20), "generation": GENERATION}


def questions(sections: Tree, dataset: str, limit: int) -> list[Tree]:
    """The rows of `evaluate:` that ask `dataset` what is trained on, at most `limit` samples each."""
    rows = [row | {"dataset": dataset, "limit": limit} for row in sections["data"]]
    return [{key: value for key, value in row.items() if key != "portion"} for row in rows]


def tiny(material: Material) -> Tree:
    """The sections of a recipe on the tiny foundations, whose heads begin at random."""
    masked = set(material.tasks) != {"rec"}
    heads: Tree = {"mask": {"sam": within(ZOO / "sam"), "standardise": True}} if masked else {"box": {}}
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    learn = {"lora": 2e-3, "embeddings": 2e-3, "lm_head": 2e-3, "projector": 1e-3, "mask_decoder": 1e-3, "heads": 1e-3}
    if not masked:
        del learn["mask_decoder"]
    records = sum(material.tasks.values())
    return {
        "model": {
            "llm": within(ZOO / "llm"), "vision": {"tower": within(ZOO / "clip"), "layer": -1, "aspect": "pad"},
            "projector": "mlp2", "conversation": "simple",
            "lora": {"rank": 16, "alpha": 32, "dropout": 0.0, "targets": targets}, "heads": heads,
        },
        "learn": learn,
        "losses": {"lm": 1.0, "mask_bce": 2.0, "mask_dice": 1.0, "resolution": "decoder"} if masked else {"lm": 1.0},
        "data": data_rows(material, heads, {"phrases": "named"}, math.ceil(STEPS * BATCH / records)),
        "training": {
            "epochs": 1, "max_steps": STEPS, "batch_size": BATCH, "precision": "fp32", "schedule": "cosine",
            "warmup_ratio": 0.05, "betas": [0.9, 0.98], "workers": 0, "cache_features": True, "log_every": 20,
            "keep": 1, "seed": 0,
        },
    }  # fmt: skip


def going_on(material: Material, folder: str | None) -> Tree:
    """The sections of a recipe that goes on from real weights: the shipped one's, with the data and batch of this set.

    Args:
        folder: of a run or of opened published weights; None: what the shipped recipe stands on.

    Raises:
        FileNotFoundError: `folder` holds no card.
    """
    real = read_yaml(REAL)
    model, masked = dict(real["model"]), set(material.tasks) != {"rec"}
    heads = {name: options for name, options in model["heads"].items() if name == ("mask" if masked else "box")}
    if folder:
        parent = parent_of(folder)
        if "mask" in heads and parent.vision and Path(parent.vision.tower).resolve().is_relative_to(ZOO):
            heads["mask"] = {"sam": within(ZOO / "sam"), "standardise": True}
        heads |= parent.heads
        model = {
            "llm": folder, "projector": parent.projector, "conversation": parent.conversation,
            "lora": (parent.lora.model_dump(mode="json") if parent.lora else model["lora"]),
        }  # fmt: skip
    model["heads"] = heads
    learn = {part: rate for part, rate in real["learn"].items() if part != "mask_decoder" or "mask" in heads}
    records = sum(material.tasks.values())
    portion = max(1, math.ceil(REAL_STEPS * REAL_BATCH / REAL_EPOCHS / records))
    training = {key: value for key, value in real["training"].items() if key != "deepspeed"}
    training |= {"epochs": REAL_EPOCHS, "batch_size": 4, "accumulate": REAL_BATCH // 4, "workers": 2, "log_every": 10}
    data = data_rows(material, heads, wording_of(folder) if folder else {}, portion)
    return {"model": model, "learn": learn, "losses": dict(real["losses"]), "data": data, "training": training}


def parent_of(folder: str) -> ModelConfig:
    """The model section of the folder that a recipe goes on from.

    Raises:
        FileNotFoundError: it holds no card.
    """
    card = open_card(folder)
    if card is None:
        raise FileNotFoundError(
            f"--model: {folder}: holds no {CARD}; expected the folder of a run, or published weights opened by "
            "`ullava convert`"
        )
    return card.config


def wording_of(folder: str) -> Tree:
    """The task options by which the run in `folder` was asked, where its card says so: its phrasebook and grammar."""
    run = json.loads(Path(folder, CARD).read_text(encoding="utf-8")).get("run") or {}
    known = (row.get("options") or {} for row in run.get("data", ()) if row["task"] in ("res", "rec", "semantic"))
    options = next(known, {})
    return {key: options[key] for key in ("phrases", "form") if key in options}


def data_rows(material: Material, heads: Mapping[str, Any], options: Tree, portion: int) -> list[Tree]:
    """Returns the rows of `data:`; their answers contain the tokens that the heads read."""
    owners = [token for token, head in (("SEG", "mask"), ("LOC", "box")) if head in heads]
    rows = []
    for task in material.tasks:
        says = {} if task == "rec" else {"says": owners}
        row: Tree = {"dataset": material.train, "task": task, "portion": portion}
        rows.append(row | ({"options": options | says} if options | says else {}))
    return rows


def next_commands(material: Material, folder: Path, run: Path) -> tuple[str, ...]:
    """The four commands after `prepare own`: check, train, evaluate, ask."""
    call = "ullava" if shutil.which("ullava") else "python -m ullava"
    train, evaluate = (shlex.quote(within(folder / name)) for name in ("train.yaml", "eval.yaml"))
    phrase = f'"{material.phrase}"' if not set('"$`\\!') & set(material.phrase) else shlex.quote(material.phrase)
    task = " --task rec" if set(material.tasks) == {"rec"} else ""
    return (
        f"{call} check {train}",
        f"{call} train {train}",
        f"{call} eval {evaluate}",
        f"{call} ask {shlex.quote(within(material.picture))} {phrase}{task} --model {shlex.quote(str(run))}",
    )


def within(path: Path) -> str:
    """A path from the working directory on where it lies below that, any other whole."""
    whole = os.path.abspath(path)
    return os.path.relpath(whole) if Path(whole).is_relative_to(Path.cwd()) else whole


def free(run: Path) -> Path:
    """The folder itself, or the first of run_2, run_3 ... that is not there yet."""
    others = (run.with_name(f"{run.name}_{number}") for number in count(2))
    return next(folder for folder in chain([run], others) if not folder.exists())


def dump(tree: Mapping[str, Any]) -> str:
    """A tree as YAML, short lists and mappings in a line each."""
    return yaml.dump(dict(tree), Dumper=Spelt, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
