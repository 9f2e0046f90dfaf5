"""Puts a network together as a YAML names it: foundations from their folders, and what a parent run has learned.

One path for a fresh stage, a stage that goes on from another, evaluation and inference: a run's folder is itself a
`model.llm`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedTokenizerBase,
)

from ullava.configs.registry import make, nearest
from ullava.configs.schema import LossConfig, ModelConfig
from ullava.configs.tokens import BEGIN, END, IMAGE, KEY, LOC, NEG, PAD, PATCH, SEG, SPACED, STAGE_ONE, STAGE_TWO
from ullava.datasets.images import View
from ullava.datasets.moments import Sampling
from ullava.models.backbones.projector import projector
from ullava.models.backbones.vision_tower import VisionTower, chance_of, load_weights, open_vision, read_settings
from ullava.models.batching.processor import Processor
from ullava.models.detectors.opening import open_detector
from ullava.models.folders import checkpoints
from ullava.models.folders.manifest import Card, check_foundations, known, read_card
from ullava.models.folders.trust import NEVER, check_folder, no_code
from ullava.models.heads.base import HEADS, Head
from ullava.models.lora import add_lora
from ullava.models.segmenters.sam import open_sam
from ullava.models.text.conversation import conversation
from ullava.models.text.tokenization import legacy, open_tokenizer
from ullava.models.ullava import Ullava

PRECISIONS = {  # with 8bit and 4bit: of all that is not quantised (models/quantisation.py)
    "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16,
    "8bit": torch.bfloat16, "4bit": torch.bfloat16,
}  # fmt: skip
SPELT = {  # keys of `model.tokens`
    "SEG": SEG, "LOC": LOC, "KEY": KEY, "NEG": NEG,
    "IMAGE_PATCH": PATCH[IMAGE], "IMAGE_BEGIN": BEGIN[IMAGE], "IMAGE_END": END[IMAGE],
}  # fmt: skip
WHOLE = {  # model_type of published whole models -> the kinds of `ullava convert` that it may be
    "llava": "llava, lisa, lasagna, keyseg", "ullava_core": "ullava", "ullava": "ullava, ullava_v1",
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
    losses, dtype = losses or LossConfig(), PRECISIONS[precision]
    parent = read_card(config.llm, allow_mismatch=allow_mismatch)
    config = inherit(config, parent)
    if parent:
        check_foundations(config, parent, allow_mismatch=allow_mismatch)
    tokenizer = open_tokenizer(parent.folder if parent else config.llm)
    speech = conversation(config.conversation, tokenizer)
    llm = open_llm(config, "auto" if learns else dtype)
    if parent:
        llm.resize_token_embeddings(parent.vocabulary, mean_resizing=False)
    vision = open_vision(
        config.vision.tower, layer=config.vision.layer, aspect=config.vision.aspect,
        from_scratch="vision" in config.from_scratch, dtype=torch.float32 if "vision" in learns else dtype,
    )  # fmt: skip
    width = llm.get_input_embeddings().weight.shape[1]
    heads = build_heads(config, width, vision, losses, torch.float32 if "sam_encoder" in learns else dtype)
    model = Ullava(llm, vision, projector(config.projector, vision.width, width), heads, losses.weights())
    if parent:
        take_over(model, parent)
    spelling = {SPELT[name]: spelt for name, spelt in config.tokens.items()}
    own = [spelling.get(token, token) for token in (STAGE_TWO if heads else (*BEGIN.values(), *END.values()))]
    if grow:
        add_tokens(tokenizer, llm, *new_words(config))
    for head in heads.values():
        head.bind_embeddings(llm.get_input_embeddings())  # whose rows are all there now
    tokenizer = legacy(tokenizer) if config.tokenization == "legacy" else tokenizer
    if config.lora and not (parent and parent.config.lora):
        add_lora(llm, config.lora)
    framed = [heads[name] for name in ("mask", "detector") if name in heads]  # all look at the first one's frames
    processor = Processor(
        tokenizer, speech, view=vision.view, patches=vision.patches,
        frames=config.vision.frames, sampling=Sampling(config.vision.sampling, config.vision.fps),
        mask_view=framed[0].tower.view if framed else None,
        framed={head.token for head in framed}, spelling=spelling, max_length=max_length,
    )  # fmt: skip
    known_tokens = tokenizer.get_vocab()
    return Assembled(model, processor, config, tuple(known_tokens[token] for token in own if token in known_tokens))


def take_over(model: Ullava, parent: Card) -> None:
    """Puts what a parent run has learned into a network."""
    if parent.config.lora:
        add_lora(model.llm, parent.config.lora)
    checkpoints.load_learned(model, parent)
    model.trained = parent.trained


def reopen(folder: str | Path, *, precision: str = "fp32", allow_mismatch: bool = False) -> Assembled:
    """What the folder of a run, a checkpoint or a merged model holds.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or it does not hold what it says.
    """
    card = known(folder, allow_mismatch=allow_mismatch)
    config = card.config.model_copy(update={"llm": str(folder)})
    return assemble(config, precision=precision, allow_mismatch=allow_mismatch, grow=False)  # no row more than there


def inherit(config: ModelConfig, parent: Card | None) -> ModelConfig:
    """`config` with what only the parent run knows: the language model's folder, the tower, the adapters."""
    if parent is None:
        if config.vision is None:
            raise ValueError(f"model.vision: missing; {config.llm} is no ullava run that could say what it saw with")
        return config
    lost = sorted(set(parent.config.heads) - set(config.heads))
    if lost:
        raise ValueError(
            f"model.heads: {parent.folder} has learned the head(s) {', '.join(lost)}, which the YAML does not name; "
            "name them, or start from a run without them"
        )
    redrawn = sorted(set(config.from_scratch) - set(parent.config.from_scratch) - {"sam"})
    if redrawn:
        raise ValueError(f"model.from_scratch: {parent.folder} stands on published {', '.join(redrawn)}; drop it here")
    if parent.config.lora and config.lora and parent.config.lora != config.lora:
        raise ValueError(f"model.lora: {parent.folder} has other adapters; merge it first: ullava merge RUN DST")
    if parent.config.tokenization == "legacy" and config.tokenization == "native":
        raise ValueError(f"model.tokenization: {parent.folder} was trained with legacy; its tokenizer cannot go back")
    return config.model_copy(
        update={
            "llm": parent.config.llm,
            "tokenization": config.tokenization or parent.config.tokenization,
            "vision": config.vision or parent.config.vision,
            "lora": config.lora or parent.config.lora,
            "tokens": parent.config.tokens | config.tokens,
            "from_scratch": tuple(dict.fromkeys((*parent.config.from_scratch, *config.from_scratch))),
        }
    )


def open_llm(config: ModelConfig, dtype: torch.dtype | str) -> nn.Module:
    """The language model, with its published weights or, when the YAML says so, random ones.

    `dtype` "auto": as the weights lie in the folder.
    """
    if not Path(config.llm, "config.json").is_file():
        raise FileNotFoundError(f"model.llm: {config.llm}: holds no config.json; expected a Hugging Face folder")
    check_folder(config.llm, "model.llm")
    kind = read_settings(config.llm, "config.json", "model.llm").get("model_type")
    if kind in WHOLE:
        raise ValueError(
            f"model.llm: {config.llm} holds a whole published {kind!r}; first: ullava convert KIND {config.llm} FOLDER "
            f"(KIND: {WHOLE[kind]}), then name that folder"
        )
    with no_code(config.llm, "model.llm"):
        settings = AutoConfig.from_pretrained(config.llm, **NEVER)
    if type(settings) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(f"model.llm: {config.llm} holds a {settings.model_type!r}, expected a causal language model")
    if "llm" in config.from_scratch:
        with chance_of(config.llm):
            made = AutoModelForCausalLM.from_config(settings, attn_implementation=config.attention)
            return made if dtype == "auto" else made.to(dtype)
    return load_weights(
        AutoModelForCausalLM, config.llm, "model.llm", dtype=dtype, attn_implementation=config.attention
    )


def build_heads(
    config: ModelConfig, width: int, vision: VisionTower, losses: LossConfig, dtype: torch.dtype
) -> dict[str, Head]:
    """The heads that the YAML names, in one order whatever order it names them in; who reads another's comes last."""
    sam = {"losses": losses, "dtype": dtype, "from_scratch": "sam" in config.from_scratch}
    makers = {
        "mask": (mask_head, sam), "box": (HEADS["box"], {"view": vision.view}),
        "detector": (detector_head, {"view": vision.view, "dtype": dtype}), "contrast": (HEADS["contrast"], {}),
    }  # fmt: skip
    for name in config.heads:
        if name not in makers:
            raise LookupError(f"model.heads: no head {name!r}; {nearest(name, makers)}")
    heads: dict[str, Head] = {}
    for name in sorted(config.heads, key=lambda name: (HEADS[name].depends_on is not None, name)):
        maker, given = makers[name]
        if name == "contrast":
            given = shown(heads)
        heads[name] = make(maker, config.heads[name] or {}, f"model.heads.{name}", width=width, **given)
    return heads


def mask_head(
    width: int,
    losses: LossConfig,
    dtype: torch.dtype,
    from_scratch: bool,
    *,
    sam: str,
    standardise: bool = False,
    fusion: dict[str, Any] | None = None,
) -> Head:
    """A mask head on the SAM in the folder `sam`."""
    whole, tower = open_sam(sam, from_scratch=from_scratch, dtype=dtype)
    return HEADS["mask"](width, whole, tower, resolution=losses.resolution, standardise=standardise, fusion=fusion)


def shown(heads: Mapping[str, Head]) -> dict[str, Any]:
    """What the contrast head has to know of the mask head, whose predictions it reads."""
    if "mask" not in heads:
        raise LookupError("model.heads.contrast: it compares what masks show; name the head mask, too")
    mask = heads["mask"]
    return {"seen": mask.no_mask.shape[1], "view": mask.tower.view}


def detector_head(width: int, view: View, dtype: torch.dtype, *, weights: str, text: str | None = None) -> Head:
    """A detector head on the GroundingDINO in `weights`, a folder, or a file beside its text encoder's folder."""
    opened = open_detector(weights, text, key="model.heads.detector.weights")
    return HEADS["detector"](width, view, opened, dtype=dtype)


def new_words(config: ModelConfig) -> tuple[list[str], set[str]]:
    """The tokens that a stage may say, as the checkpoint spells them, and which words take the space before them."""
    spelling = {SPELT[name]: spelt for name, spelt in config.tokens.items()}
    said = [spelling.get(token, token) for token in (*STAGE_ONE, *(STAGE_TWO if config.heads else ()))]
    return [token for token in said if token], {spelling.get(token, token) for token in SPACED}  # it may lack some


def add_words(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str], spaced: Collection[str] = ()) -> list[str]:
    """Adds the tokens that are missing, and returns them.

    Tokens in `spaced` take the space before them, as where the published weights were trained (transformers 4.31): the
    state that emits them is then that of a word, and not of a lone space that no text ever had.
    """
    known = tokenizer.get_vocab()
    missing = [token for token in tokens if token not in known]
    tokenizer.add_tokens([AddedToken(token, lstrip=token in spaced, special=True) for token in missing])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = PAD
    return missing


def add_tokens(
    tokenizer: PreTrainedTokenizerBase, llm: nn.Module, tokens: Sequence[str], spaced: Collection[str] = ()
) -> None:
    """Adds the tokens that are missing; their rows begin near the mean of the old ones, a little apart."""
    known = tokenizer.get_vocab()
    missing = add_words(tokenizer, tokens, spaced)
    before = llm.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > before:
        llm.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = sorted({*range(before, len(tokenizer)), *tokenizer.convert_tokens_to_ids(missing)})  # Qwen has spare rows
    if not new:
        return
    for table in dict.fromkeys((llm.get_input_embeddings().weight, llm.get_output_embeddings().weight)):
        with torch.no_grad():
            old = table[: min(before, len(known))].float()
            noise = torch.randn(len(new), table.shape[1]) * old.std() * 0.1
            table[new] = (old.mean(0) + noise).to(table.dtype)
