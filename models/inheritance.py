"""What a stage takes over from the run that its `model.llm` names: the parent."""

import logging

from ullava.configs.schema import ModelConfig
from ullava.models.folders import checkpoints
from ullava.models.folders.manifest import Card, vision_of
from ullava.models.lora import add_lora
from ullava.models.ullava import Ullava

log = logging.getLogger("ullava")


def inherit(config: ModelConfig, parent: Card | None) -> ModelConfig:
    """`config` with what only the parent run knows: the language model's folder, the tower, the adapters."""
    if parent is None:
        vision_of(config)
        return config
    lost = sorted(set(parent.config.heads) - set(config.heads))
    if lost:
        raise ValueError(
            f"model.heads: {parent.folder} has learned the head(s) {', '.join(lost)}, which the YAML does not name; "
            "name them, or start from a run without them"
        )
    if parent.config.projector != config.projector:
        raise ValueError(
            f"model.projector: {parent.folder} has learned {parent.config.projector!r}, the YAML names "
            f"{config.projector!r}; name that of the run"
        )
    redrawn = sorted(set(config.from_scratch) - set(parent.config.from_scratch) - {"sam"})
    if redrawn:
        raise ValueError(f"model.from_scratch: {parent.folder} stands on published {', '.join(redrawn)}; drop it here")
    if parent.config.lora and config.lora and parent.config.lora != config.lora:
        raise ValueError(f"model.lora: {parent.folder} has other adapters; merge it first: ullava merge RUN DST")
    if parent.config.tokenization == "legacy" and config.tokenization == "native":
        raise ValueError(f"model.tokenization: {parent.folder} was trained with legacy; its tokenizer cannot go back")
    respelt = sorted(token for token, word in config.tokens.items() if parent.config.tokens.get(token, word) != word)
    if respelt:
        raise ValueError(
            f"model.tokens: {parent.folder} has learned another spelling of {', '.join(respelt)}: "
            f"{', '.join(parent.config.tokens[token] for token in respelt)}; drop it here"
        )
    compare_sight(config, parent)
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


def compare_sight(config: ModelConfig, parent: Card) -> None:
    """Refuses another layer of the vision tower than the parent has learned to read; says what else differs.

    LLaVA itself changes its conversation and how a picture gets into its square between its stages, so these are said.
    """
    changed = [("conversation", parent.config.conversation, config.conversation)]
    if config.vision and parent.config.vision:
        theirs, ours = parent.config.vision, config.vision
        if theirs.layer != ours.layer:
            raise ValueError(
                f"model.vision.layer: {parent.folder} has learned to read layer {theirs.layer}, the YAML names "
                f"{ours.layer}; name that of the run"
            )
        keys = ("aspect", "frames", "sampling", "fps")
        changed += [(f"vision.{key}", getattr(theirs, key), getattr(ours, key)) for key in keys]
    for key, old, new in changed:
        if old != new:
            log.warning("model.%s: %s was trained with %s, this run goes on with %s", key, parent.folder, old, new)


def take_over(model: Ullava, parent: Card, *, weightless: bool = False) -> None:
    """Puts what a parent run has learned into a network; into a weightless one only the places for it."""
    if parent.config.lora:
        add_lora(model.backbone.lora_scope, parent.config.lora)
    inherited: frozenset[str] = frozenset()
    if not weightless:
        inherited = checkpoints.load_learned(model, parent)
    elif (parent.folder / checkpoints.LEARNED).is_file():
        checkpoints.check_learned(model, parent)
    model.descend(parent.trained, inherited)
