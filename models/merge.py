"""Makes a run whole: one folder that stands on no other and may be moved anywhere.

    ullava.json             the card; its folders lie beside it
    llm/                    a Hugging Face folder: adapters folded in, the vocabulary grown, the tokenizer
    vision/, sam/           the towers' folders as they are
    learned.safetensors     all else that learned: projector, heads, and towers that are no longer as they were
    tokenizer files
"""

import os
import shutil
from pathlib import Path

import torch
from transformers import AutoConfig

from ullava.configs.schema import ModelConfig
from ullava.models.assembly import Assembled, reopen
from ullava.models.checkpoints import LEARNED, rehouse, state, write, write_card
from ullava.models.lora import fold
from ullava.models.trust import NEVER

LLM, VISION, SAM = "llm", "vision", "sam"
OTHER_FRAMEWORKS = ("*.h5", "*.msgpack", "*.ot", "*.onnx", ".*")  # files of a published folder that nobody here reads


def merge(run: str, destination: str) -> None:
    """Writes the whole model of a run, a checkpoint or a merged folder; the language model in its published precision.

    Raises:
        FileNotFoundError, ValueError: `run` is no such folder, or does not hold what it says.
        FileExistsError: there is something at `destination`.
    """
    target = Path(destination)
    if target.exists():
        raise FileExistsError(f"{destination}: exists already; name another folder, or remove this one")
    assembled = reopen(run)
    aside = target.with_name(f"{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    fold(assembled.model.llm)
    write_llm(aside / LLM, assembled)
    learned = {name: weight for name, weight in state(assembled.model)[0].items() if not name.startswith("llm.")}
    write(aside / LEARNED, learned)
    assembled.processor.tokenizer.save_pretrained(aside)
    config = copy_towers(aside, assembled.config)
    vocabulary = len(assembled.model.llm.get_input_embeddings().weight)
    write_card(aside, config, vocabulary=vocabulary, learned=learned, merged=True)
    os.replace(aside, target)


def write_llm(folder: Path, assembled: Assembled) -> None:
    """The language model alone, as any program opens it."""
    published = AutoConfig.from_pretrained(assembled.config.llm, **NEVER).dtype or torch.float32
    assembled.model.llm.to(published).save_pretrained(folder)
    assembled.processor.tokenizer.save_pretrained(folder)


def copy_towers(folder: Path, config: ModelConfig) -> ModelConfig:
    """Copies the towers' folders, and returns the model section in which all three foundations lie inside."""
    names = {config.llm: LLM, config.vision.tower: VISION}
    if "mask" in config.heads:
        names[config.heads["mask"]["sam"]] = SAM
    for base, name in names.items():
        if name != LLM:
            shutil.copytree(base, folder / name, ignore=shutil.ignore_patterns(*OTHER_FRAMEWORKS))
    drawn = tuple(name for name in config.from_scratch if name != LLM)
    return rehouse(config, names.__getitem__).model_copy(update={"lora": None, "from_scratch": drawn})
