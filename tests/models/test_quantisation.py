"""8 and 4 bits: what is quantised, what is not, and that it still answers."""

import importlib.util
import sys

import pytest
import torch
from torch import nn

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import open_answerer
from ullava.models.assembly import assemble
from ullava.models.folders.checkpoints import save
from ullava.models.quantisation import QUANTISED, quantise
from ullava.models.tiny import tiny_llm

installed = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes (the extra quant) is not installed"
)


@pytest.fixture(scope="module")
def folder(recipe, tmp_path_factory):
    """A run with adapters."""
    assembled = assemble(recipe(lora={"rank": 2}))
    place = tmp_path_factory.mktemp("quantised")
    save(place, assembled.model, assembled.config, assembled.processor.tokenizer)
    return str(place)


def opened(folder: str, precision: str):
    return open_answerer(folder, GenerationConfig(precision=precision, max_new_tokens=4))


@pytest.mark.parametrize("precision", QUANTISED)
def test_a_missing_library_is_named_before_anything_is_loaded(monkeypatch, precision):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ImportError, match=rf"generation.precision: {precision} needs .* pip install 'ullava\[quant\]'"):
        opened("no/such/folder", precision)


@installed
@pytest.mark.parametrize(("precision", "stored"), [("8bit", torch.int8), ("4bit", torch.uint8)])
def test_only_layers_inside_the_language_model_are_quantised(folder, precision, stored):
    model = opened(folder, precision).model
    layer = model.llm.model.layers[0]
    assert {layer.mlp.up_proj.weight.dtype, layer.self_attn.q_proj.base_layer.weight.dtype} == {stored}
    kept = {name: weight.dtype for name, weight in model.named_weights() if weight.dtype != stored}
    assert {kept.pop(name) for name in list(kept) if name.startswith("heads.box.")} == {torch.float32}
    assert set(kept.values()) == {torch.bfloat16}
    for name in ("llm.lm_head.weight", "llm.model.embed_tokens.weight", "projector.0.weight"):
        assert name in kept
    assert any(".lora_A." in name for name in kept) and any(".mask_decoder." in name for name in kept)


@installed
@pytest.mark.parametrize(("precision", "tolerance"), [("8bit", 0.01), ("4bit", 0.12)])
@pytest.mark.parametrize(("inputs", "outputs"), [(64, 96), (176, 48)])
def test_a_layer_is_nearly_that_of_16_bits(precision, tolerance, inputs, outputs):
    """By the length of the difference; NF4 errs by 9% on normal weights, LLM.int8 by half a percent."""
    torch.manual_seed(0)
    llm = tiny_llm(20, width=16, layers=1)
    layer = llm.model.layers[0].mlp.up_proj = nn.Linear(inputs, outputs).to(torch.bfloat16)
    quantise(llm, precision, "cpu")
    states = torch.randn(50, inputs, dtype=torch.bfloat16)
    with torch.no_grad():
        few, many = (some(states).float() for some in (llm.eval().model.layers[0].mlp.up_proj, layer))
    assert 0 < float((few - many).norm() / many.norm()) < tolerance


@installed
@pytest.mark.parametrize("precision", QUANTISED)
def test_a_quantised_model_answers_with_masks_and_boxes(folder, world, precision):
    answerer = opened(folder, precision)
    (said,) = answerer([world.dialogue("ask", [0], ("Where is it?", ""))])
    assert isinstance(said.text, str)
    (read,) = answerer([world.segment(0)], given=True)
    assert read.predictions["mask"][0].shape == (60, 80) and len(read.predictions["box"][0]) == 4


def test_a_layer_is_no_longer_a_plain_one(folder):
    """The guard of the tests above: without quantisation all of them would see plain layers."""
    layer = opened(folder, "bf16").model.llm.model.layers[0].mlp.up_proj
    assert type(layer) is nn.Linear and layer.weight.dtype == torch.bfloat16
