"""The language model: any causal one of transformers, from its folder."""

from pathlib import Path

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedModel

from ullava.configs.schema import ModelConfig
from ullava.models.backbones.vision_tower import chance_of, load_weights, read_settings
from ullava.models.folders.trust import NEVER, check_folder, no_code

WHOLE = {  # model_type of published whole models -> the kinds of `ullava convert` that it may be
    "llava": "llava, lisa, lasagna, keyseg", "ullava_core": "ullava", "ullava": "ullava, ullava_v1",
}  # fmt: skip


def open_llm(config: ModelConfig, dtype: torch.dtype | str) -> PreTrainedModel:
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
