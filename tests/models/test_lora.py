"""Adapters: only in the language model, and away again without a trace."""

import pytest
import torch
from peft.tuners.lora import LoraLayer

from ullava.configs.schema import LoraConfig
from ullava.models.lora import add_lora, fold


def stir(model) -> None:
    """Adapters begin as nothing; gives them something to say."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.1)


def test_adapters_stand_beside_the_layers_named_and_nowhere_else(fresh):
    model = fresh(lora={"rank": 3, "targets": ["q_proj", "v_proj"]}).model
    found = [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    assert found == [f"llm.model.layers.{n}.self_attn.{leaf}" for n in (0, 1) for leaf in ("q_proj", "v_proj")]
    assert not any(isinstance(m, LoraLayer) for tower in model.towers.values() for m in tower.module.modules())


def test_an_unknown_target_names_the_nearest(still, zoo):
    from transformers import AutoModelForCausalLM

    llm = AutoModelForCausalLM.from_pretrained(zoo / "llm")
    with pytest.raises(LookupError, match="model.lora.targets: no linear layer 'query_proj'; did you mean .*there"):
        add_lora(llm, LoraConfig(targets=("query_proj",)))
    assert not any(isinstance(module, LoraLayer) for module in llm.modules())


def test_fresh_adapters_change_nothing(fresh, still, world, batch):
    found = batch(world.chat())
    with torch.no_grad():
        states = fresh(lora={}).model.eval().llm.base_model(found.input_ids).last_hidden_state
        expected = still.model.eval().llm.base_model(found.input_ids).last_hidden_state
    assert torch.equal(states, expected)


def test_a_folded_model_is_the_adapter_model(fresh, world, batch):
    model = fresh(lora={"rank": 4, "alpha": 32, "targets": ["q_proj", "down_proj"]}).model.eval()
    stir(model)
    found = batch(world.segment(), world.chat())
    with torch.no_grad():
        before = model(found).parts
        fold(model.llm)
        after = model(found).parts
    assert not any(isinstance(module, LoraLayer) for module in model.modules())
    assert not any("lora" in name or "base_layer" in name for name, _ in model.named_parameters())
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, atol=1e-5, rtol=0)
