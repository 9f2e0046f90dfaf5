"""The processor of a network that is not there: what it would be fed, known without its weights.

`ullava check` measures and shows rows with it, and `assemble` takes its own from here. It reads configurations and a
tokenizer only, and hashes nothing.
"""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ullava.configs.schema import ModelConfig
from ullava.datasets.images import View
from ullava.models.backbones.tower_layout import TowerLayout, read_layout
from ullava.models.batching.layout import MediaLayout
from ullava.models.batching.processor import Processor
from ullava.models.folders.hub import local_folder
from ullava.models.folders.manifest import open_card, vision_of
from ullava.models.folders.resolve import resolve_folders
from ullava.models.heads.base import HEADS, looking
from ullava.models.inheritance import inherit
from ullava.models.text.chat_template import ChatTemplate
from ullava.models.text.conversation import Conversation, conversation
from ullava.models.text.tokenization import legacy, open_tokenizer
from ullava.models.vocabulary import add_words, new_words, spelling_of


def processor_from_config(config: ModelConfig, *, max_length: int = 512) -> Processor:
    """The processor that `assemble` would make of `config`.

    Raises:
        FileNotFoundError, LookupError, ValueError: a folder or name that does not fit; says the key.
    """
    config = resolve_folders(config, weights=False)
    parent = open_card(config.llm)
    config = inherit(config, parent)
    tokenizer = open_tokenizer(parent.folder if parent else config.llm)
    speech = conversation(config.conversation, tokenizer)
    add_words(tokenizer, *new_words(config))
    tokenizer = legacy(tokenizer) if config.tokenization == "legacy" else tokenizer
    frames = [HEADS[name].frame(config.heads[name] or {}) for name in looking(config.heads)]
    return make_processor(
        config, tokenizer, speech, layout_of(config), frame=frames[0] if frames else None, max_length=max_length
    )


def processor_from_folder(folder: str | Path, *, max_length: int = 512) -> Processor:
    """The processor of the run, the checkpoint or the merged model in `folder`; as `processor_from_config`."""
    folder = local_folder(str(folder), "model", weights=False)
    card = open_card(folder)
    if card is None:
        raise FileNotFoundError(f"{folder}: no folder of a run, a checkpoint or a merged model")
    return processor_from_config(card.config.model_copy(update={"llm": str(folder)}), max_length=max_length)


def layout_of(config: ModelConfig) -> TowerLayout:
    """What becomes of a picture or film in a row, for the backbone that `config` names."""
    return read_layout(vision_of(config))


def make_processor(
    config: ModelConfig,
    tokenizer: PreTrainedTokenizerBase,
    speech: Conversation | ChatTemplate,
    layout: MediaLayout,
    *,
    frame: View | None,
    max_length: int,
) -> Processor:
    """The processor of a network, whether that is there or not.

    Args:
        config: with what only the parent knows, see `inherit`.
        tokenizer: with the tokens that the stage may say.
        frame: how a picture lies in the frame that heads look at; None: none does.
    """
    return Processor(
        tokenizer, speech, layout=layout, mask_view=frame, spelling=spelling_of(config), max_length=max_length,
        framed={HEADS[name].token for name in looking(config.heads)},
    )  # fmt: skip
