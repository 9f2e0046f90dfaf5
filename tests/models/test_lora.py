"""Adapters: only in the language model, and where they are named."""

import pytest
import torch
from peft.tuners.lora import LoraLayer

from ullava.configs.schema import LoraConfig
from ullava.models.lora import add_lora


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
