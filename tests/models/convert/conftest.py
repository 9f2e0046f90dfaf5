"""Tiny models as other programs publish them, drawn from a seed: no file from outside."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, LlamaConfig

from ullava.configs.tokens import LOC, SEG, STAGE_ONE, TAG
from ullava.models.convert.kinds import MODEL_KINDS, kind_of
from ullava.models.convert.parts import Parts, shapes
from ullava.models.tiny import tiny_sam

LLM = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2)
CLIP = dict(
    hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, image_size=24, patch_size=12
)  # fmt: skip
WORDS = ["<unk>", "<s>", "</s>", "\u2581", *"abcdefghijklmnopqr"]


def tokenizer_json() -> str:
    """A tokenizer of LLaMA's kind in one file: a few letters, and u-LLaVA's tokens."""
    from tokenizers import AddedToken, Tokenizer, models

    tokenizer = Tokenizer(models.BPE({word: n for n, word in enumerate(WORDS)}, [], unk_token="<unk>"))
    tokens = ["<unk>", "<s>", "</s>", *STAGE_ONE, SEG, LOC, TAG, "<im_patch>", "<im_start>", "<im_end>", "<ins>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens])
    return tokenizer.to_str()


def config_of(name: str, model_type: str | None = None) -> dict:
    """A published config.json."""
    core = LLM | {"model_type": model_type or "llava", "vision_config": CLIP, "vision_hidden_layer": -2}
    core |= {"mm_vision_select_layer": -2, "mm_vision_tower": "openai/clip"}
    return {"model_type": "ullava", "llm_config": core} if kind_of(name, model_type).inner else core


@pytest.fixture(scope="session")
def sizes():
    """Parts of the tiny models."""
    sam = tiny_sam(patch=24, width=16, layers=2, channels=16)
    sam.config.mask_decoder_config.num_attention_heads = 8
    return Parts(LlamaConfig(**LLM), CLIPVisionConfig(**CLIP), sam.config, "linear", -2, 8, 12)


@pytest.fixture(scope="session")
def weights(sizes):
    """Random weights by the names of a kind, as published; drawn from a seed."""

    def draw(kind_name: str, seed: int = 0, model_type: str | None = None) -> dict[str, torch.Tensor]:
        kind, rng = kind_of(kind_name, model_type), torch.Generator().manual_seed(seed)
        parts = sizes if kind.sam else Parts(sizes.llm, sizes.vision, None, "linear", -2, 0)
        ours = {name: torch.randn(shape, generator=rng) * 0.1 for name, shape in shapes(kind, parts).items()}
        for name in list(ours):
            if name.endswith("shared_image_embedding.positional_embedding"):
                ours["sam.prompt_encoder.shared_embedding.positional_embedding"] = ours[name].clone()
        return kind.table.write(ours)

    return draw


@pytest.fixture
def publish(tmp_path, weights, clip):
    """Writes a folder as published; gives its place."""

    def lay(kind: str, tensors=None, *, name: str = "published", model_type: str | None = None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config_of(kind, model_type)))
        marked = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
        settings = {"tokenizer_class": "PreTrainedTokenizerFast"} | marked
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        (folder / "tokenizer.json").write_text(tokenizer_json())
        tensors = tensors if tensors is not None else weights(kind, model_type=model_type)
        save_file(tensors, folder / "model.safetensors")
        return folder

    return lay


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> str:
    """A CLIP's folder."""
    from transformers import CLIPVisionModel

    folder = tmp_path_factory.mktemp("clip")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        CLIPVisionModel(CLIPVisionConfig(**CLIP)).save_pretrained(folder)
    settings = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.fixture(params=sorted(MODEL_KINDS))
def kind(request) -> str:
    """Every kind of whole model."""
    return request.param
