"""The processor of a network that is not there: what it would be fed, known without its weights.

`ullava check` measures and shows rows with it. It reads configurations and a tokenizer only, and hashes nothing.
"""

from pathlib import Path

from transformers import SamConfig, SamVisionConfig

from ullava.configs.schema import ModelConfig
from ullava.datasets.images import View
from ullava.datasets.moments import Sampling
from ullava.models.assembly import SPELT, add_words, inherit, new_words
from ullava.models.backbones.vision_tower import TOWERS, read_settings
from ullava.models.batching.processor import Processor
from ullava.models.detectors.opening import preparation
from ullava.models.folders.manifest import open_card
from ullava.models.folders.trust import NEVER
from ullava.models.heads.base import HEADS
from ullava.models.text.conversation import conversation
from ullava.models.text.tokenization import legacy, open_tokenizer


def processor_from_config(config: ModelConfig, *, max_length: int = 512) -> Processor:
    """The processor that `assemble` would make of `config`.

    Raises:
        FileNotFoundError, LookupError, ValueError: a folder or name that does not fit; says the key.
    """
    parent = open_card(config.llm)
    config = inherit(config, parent)
    tokenizer = open_tokenizer(parent.folder if parent else config.llm)
    speech = conversation(config.conversation, tokenizer)
    add_words(tokenizer, *new_words(config))
    tokenizer = legacy(tokenizer) if config.tokenization == "legacy" else tokenizer
    view, patches = sight(config)
    return Processor(
        tokenizer, speech, view=view, patches=patches, frames=config.vision.frames,
        sampling=Sampling(config.vision.sampling, config.vision.fps), mask_view=mask_sight(config),
        framed={HEADS[name].token for name in ("mask", "detector") if name in config.heads},
        spelling={SPELT[name]: spelt for name, spelt in config.tokens.items()}, max_length=max_length,
    )  # fmt: skip


def processor_from_folder(folder: str | Path, *, max_length: int = 512) -> Processor:
    """The processor of the run, the checkpoint or the merged model in `folder`; as `processor_from_config`."""
    card = open_card(folder)
    if card is None:
        raise FileNotFoundError(f"{folder}: no folder of a run, a checkpoint or a merged model")
    return processor_from_config(card.config.model_copy(update={"llm": str(folder)}), max_length=max_length)


def sight(config: ModelConfig) -> tuple[View, int]:
    """What the vision tower sees of a picture, and how many patches it makes of it."""
    folder, key = config.vision.tower, "model.vision.tower"
    kind = read_settings(folder, "config.json", key).get("model_type")
    if kind not in TOWERS:
        raise ValueError(f"{key}: {folder} holds a {kind!r}, expected one of {', '.join(sorted(TOWERS))}")
    shape = TOWERS[kind][1].from_pretrained(folder, **NEVER)
    return View(shape.image_size, config.vision.aspect), (shape.image_size // shape.patch_size) ** 2


def mask_sight(config: ModelConfig) -> View | None:
    """What SAM sees, or else the detector; None where neither is."""
    if "mask" in config.heads:
        folder = Path(config.heads["mask"]["sam"])
        shape = SamVisionConfig() if folder.is_file() else SamConfig.from_pretrained(folder, **NEVER).vision_config
        return View(shape.image_size, "corner", background=(0, 0, 0))
    if "detector" in config.heads:
        *_, longest = preparation(Path(config.heads["detector"]["weights"]))
        return View(longest, "corner", background=(0, 0, 0))
    return None
