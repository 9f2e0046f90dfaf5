"""Puts a network together as a YAML names it: foundations from their folders, and what a parent run has learned.

The one place where this is done: for a fresh stage, a stage that goes on from another, evaluation and inference, for a
run's folder is itself a `model.llm`; and without weights, on the meta device, for who asks how large a network is.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from ullava.configs.registry import nearest
from ullava.configs.schema import LossConfig, ModelConfig
from ullava.models.backbones.language_model import open_llm
from ullava.models.backbones.projector import projector
from ullava.models.backbones.tower_llm import TowerLLM
from ullava.models.backbones.vision_tower import open_vision
from ullava.models.batching.processor import Processor
from ullava.models.folders.hub import local_folder
from ullava.models.folders.manifest import Card, check_foundations, known, open_card, read_card, vision_of
from ullava.models.folders.resolve import resolve_folders
from ullava.models.heads.base import HEADS, Head, Parts, in_order, looking
from ullava.models.inheritance import inherit, take_over
from ullava.models.lora import add_lora
from ullava.models.processor_from_config import layout_of, make_processor
from ullava.models.text.conversation import conversation
from ullava.models.text.tokenization import legacy, open_tokenizer
from ullava.models.ullava import Ullava
from ullava.models.vocabulary import add_rows, add_tokens, input_embeddings, new_words, own_rows

PRECISIONS = {  # with 8bit and 4bit: of all that is not quantised (models/quantisation.py)
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
    "8bit": torch.bfloat16, "4bit": torch.bfloat16,
}  # fmt: skip


@dataclass(slots=True)
class Assembled:
    """A network, its border to texts and pictures, and what it was made of.

    Attributes:
        config: with the language model's own folder in `llm`, whatever run the YAML named.
        new_rows: ids of this stage's own tokens: those around pictures, or, with heads, those that own something.
    """

    model: Ullava
    processor: Processor
    config: ModelConfig
    new_rows: tuple[int, ...]


def assemble(
    config: ModelConfig,
    *,
    losses: LossConfig | None = None,
    precision: str = "fp32",
    max_length: int = 512,
    seed: int = 0,
    allow_mismatch: bool = False,
    grow: bool = True,
    learns: Collection[str] = (),
) -> Assembled:
    """Builds what `config` names; every new weight is drawn from `seed`, foundations from scratch from their config.

    Args:
        allow_mismatch: stand on other foundations than the run that `llm` names was trained on.
        grow: give the tokens that this stage may say and the vocabulary lacks their rows.
        learns: parts that are to be trained: they are read as finely as they were published, and so is the language
            model, part of which may learn; who trains brings what is frozen to `precision`.

    Raises:
        FileNotFoundError, LookupError, ValueError: a folder, name or checkpoint that does not fit; says the key.
    """
    torch.manual_seed(seed)
    config = resolve_folders(config)
    parent = read_card(config.llm, allow_mismatch=allow_mismatch)
    config = inherit(config, parent)
    if parent:
        check_foundations(config, parent, allow_mismatch=allow_mismatch)
    tokenizer = open_tokenizer(parent.folder if parent else config.llm)
    speech = conversation(config.conversation, tokenizer)
    way = Way(losses or LossConfig(), PRECISIONS[precision], frozenset(learns), grow)
    model = put_together(config, parent, tokenizer, way)
    tokenizer = legacy(tokenizer) if config.tokenization == "legacy" else tokenizer
    frames = [model.heads_by_name[name].tower.view for name in looking(config.heads)]
    processor = make_processor(
        config, tokenizer, speech, model.backbone.layout, frame=frames[0] if frames else None, max_length=max_length
    )
    return Assembled(model, processor, config, own_rows(config, tokenizer))


def blueprint(config: ModelConfig, *, learns: Collection[str] = ()) -> Ullava:
    """The network that `assemble` builds, on the meta device: with shapes, and without numbers.

    Only configurations are read, and a tokenizer where the language model's folder holds one; else every token that the
    stage may say counts as new.

    Raises:
        FileNotFoundError, LookupError, ValueError: a folder or name that does not fit; says the key.
    """
    config = resolve_folders(config, weights=False)
    parent = open_card(config.llm)
    config = inherit(config, parent)
    folder = Path(parent.folder if parent else config.llm)
    has_tokenizer = any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model"))
    tokenizer = open_tokenizer(folder) if has_tokenizer else None
    bare = config.model_copy(update={"attention": "sdpa", "from_scratch": ("llm", "vision", "sam")})
    with torch.device("meta"):
        return put_together(bare, parent, tokenizer, Way(learns=frozenset(learns), weightless=True))


@dataclass(frozen=True, slots=True)
class Way:
    """How a network is put together; see `assemble`.

    Attributes:
        dtype: of what is frozen; what learns is read as finely as it was published.
        weightless: made on the meta device, which is the caller's to choose.
    """

    losses: LossConfig = field(default_factory=LossConfig)
    dtype: torch.dtype = torch.float32
    learns: frozenset[str] = frozenset()
    grow: bool = True
    weightless: bool = False


def put_together(
    config: ModelConfig, parent: Card | None, tokenizer: PreTrainedTokenizerBase | None, way: Way
) -> Ullava:
    """The network itself.

    Args:
        config: with what only the parent knows, see `inherit`.
        tokenizer: gains the tokens that it lacks; None: of a folder without one.
    """
    seeing = vision_of(config)
    llm = open_llm(config, "auto" if way.learns else way.dtype)
    if parent:
        llm.resize_token_embeddings(parent.vocabulary, mean_resizing=False)
    vision = open_vision(
        seeing.tower, layer=seeing.layer, aspect=seeing.aspect,
        from_scratch="vision" in config.from_scratch, dtype=torch.float32 if "vision" in way.learns else way.dtype,
    )  # fmt: skip
    width = input_embeddings(llm).weight.shape[1]
    heads = build_heads(config, Parts(width, vision.view), way)  # before the projector: a seed draws in this order
    backbone = TowerLLM(llm, vision, projector(config.projector, vision.width, width), layout_of(config))
    model = Ullava(backbone, heads, way.losses.weights())
    if parent:
        take_over(model, parent, weightless=way.weightless)
    if way.grow and tokenizer:
        add_tokens(tokenizer, llm, *new_words(config))
    elif way.grow:
        add_rows(llm, len(new_words(config)[0]))
    for head in heads.values():
        head.bind_embeddings(input_embeddings(llm))  # whose rows are all there now
    if config.lora and not (parent and parent.config.lora):
        add_lora(backbone.lora_scope, config.lora)
    return model


def build_heads(config: ModelConfig, parts: Parts, way: Way) -> dict[str, Head]:
    """The heads that the YAML names, in the order in which each can be made.

    Args:
        parts: with the backbone's; the rest is added here.

    Raises:
        LookupError: there is no such head, or it lacks another one.
    """
    for name in config.heads:
        if name not in HEADS:
            raise LookupError(f"model.heads: no head {name!r}; {nearest(name, HEADS)}")
    towers = {HEADS[name].tower_part for name in config.heads}
    dtype = torch.float32 if towers & way.learns else way.dtype
    heads: dict[str, Head] = {}
    for name in in_order(config.heads):
        beside = replace(
            parts, heads=dict(heads), losses=way.losses, dtype=dtype, from_scratch=config.from_scratch,
            weightless=way.weightless,
        )  # fmt: skip
        heads[name] = HEADS[name].build(config.heads[name] or {}, beside)
    return heads


def reopen(folder: str | Path, *, precision: str = "fp32", allow_mismatch: bool = False) -> Assembled:
    """What the folder of a run, a checkpoint or a merged model holds.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or it does not hold what it says.
    """
    folder = local_folder(str(folder), "model")
    card = known(folder, allow_mismatch=allow_mismatch)
    config = card.config.model_copy(update={"llm": str(folder)})
    return assemble(config, precision=precision, allow_mismatch=allow_mismatch, grow=False)  # no row more than there
