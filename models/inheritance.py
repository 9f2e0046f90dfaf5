"""What a stage takes over from the run that its `model.llm` names: the parent."""

from ullava.configs.schema import ModelConfig
from ullava.models.folders import checkpoints
from ullava.models.folders.manifest import Card, vision_of
from ullava.models.lora import add_lora
from ullava.models.ullava import Ullava


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
