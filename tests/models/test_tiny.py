"""Tiny foundation models: random ones that learn, and the trained ones as they are shipped."""

import hashlib

import pytest
import torch
from transformers import AutoTokenizer, CLIPVisionModel, LlamaForCausalLM, SamModel

from ullava.configs.tokens import STAGE_ONE
from ullava.models.tiny import SIDE, ZOO, tiny_clip, tiny_llm, tiny_sam, tiny_tokenizer

shipped = pytest.mark.skipif(not (ZOO / "llm" / "model.safetensors").is_file(), reason="no weights in models/zoo")


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer([" Sure. Cell: p27; ring.", "\n\n###Human: Segment the ring.\n###Assistant:"])


def test_every_word_it_was_built_of_is_one_token(tokenizer):
    assert tokenizer.tokenize(" Sure. Cell: p27; ring.") == ["ĠSure", ".", "ĠCell", ":", "Ġp27", ";", "Ġring", "."]
    assert tokenizer.tokenize("\n###Human:") == ["Ċ", "###", "Human", ":"]


@pytest.mark.parametrize("text", ["Hello, Wörld!", "  two  spaces\n\n", "猫 and 🐈", "[SEG] ###", ""])
def test_any_text_is_spelt_and_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_the_marks_of_stage_one_are_single_tokens(tokenizer):
    ids = tokenizer("".join(STAGE_ONE)).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == list(STAGE_ONE)


def test_sam_begins_alive():
    torch.manual_seed(0)
    sam = tiny_sam(patch=12, width=24, layers=2, channels=16)
    pictures = torch.randn(2, 3, SIDE, SIDE)
    features = sam.vision_encoder(pictures)[0]
    assert (features[0] - features[1]).abs().mean() > 0.05  # transformers' own start gives the same to all pictures
    assert 0.5 < sam.shared_image_embedding.positional_embedding.std() < 2


def test_sams_encoder_moves_in_one_step():
    torch.manual_seed(0)
    sam = tiny_sam(patch=12, width=24, layers=2, channels=16)
    sam.vision_encoder(torch.randn(1, 3, SIDE, SIDE))[0].square().mean().backward()
    still = [name for name, p in sam.vision_encoder.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not [name for name in still if "rel_pos" not in name]


def test_models_have_the_sizes_they_say():
    clip, llm = tiny_clip(), tiny_llm(200)
    assert clip(torch.zeros(1, 3, SIDE, SIDE)).last_hidden_state.shape == (1, 65, 128)
    assert llm(torch.zeros(1, 3, dtype=torch.long)).logits.shape == (1, 3, 200)


@shipped
def test_the_shipped_weights_are_the_ones_that_were_written_down():
    lines = (ZOO.parent / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {
        str(path.relative_to(ZOO.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in ZOO.rglob("*")
        if path.suffix in (".safetensors", ".json")
    }
    assert found == listed


@shipped
def test_the_zoo_weighs_less_than_eight_megabytes():
    assert sum(path.stat().st_size for path in ZOO.rglob("*") if path.is_file()) <= 8_000_000


@shipped
def test_the_shipped_models_load_whole():
    for name, kind in (("llm", LlamaForCausalLM), ("clip", CLIPVisionModel), ("sam", SamModel)):
        model, loading = kind.from_pretrained(ZOO / name, output_loading_info=True)
        assert not loading["missing_keys"] and not loading["mismatched_keys"], name
        assert all(p.isfinite().all() for p in model.parameters())


@shipped
def test_the_shipped_tokenizer_fits_the_language_model():
    tokenizer = AutoTokenizer.from_pretrained(ZOO / "llm")
    llm = LlamaForCausalLM.from_pretrained(ZOO / "llm")
    assert tokenizer.is_fast and len(tokenizer) == llm.config.vocab_size
    assert tokenizer.tokenize(" red ring") == ["Ġred", "Ġring"]
