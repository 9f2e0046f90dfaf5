"""Adapters of others: what peft multiplies with is what ours do, whatever variant of LoRA it is; others are refused."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from ullava.models.convert.adapters import find_adapters


def published(zoo, folder: Path, **settings):
    """A folder as peft writes it, and what its adapters add to each linear layer, by peft itself."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(zoo / "llm")
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **settings)
    model = get_peft_model(base, config)
    for name, parameter in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    layers = {
        name.removeprefix("base_model.model."): layer.get_delta_weight("default").detach()
        for name, layer in model.named_modules() if hasattr(layer, "get_delta_weight")
    }  # fmt: skip
    return layers


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"v_proj": 3}},
        {"rank_pattern": {"layers.0.self_attn.q_proj": 6}},
        {"use_rslora": True, "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"layers.1.self_attn.v_proj": 5}},
    ],
    ids=lambda settings: "+".join(settings) or "plain",
)
def test_a_variant_of_lora_adds_what_peft_adds(zoo, tmp_path, settings):
    expected = published(zoo, tmp_path, **settings)
    adapters, lora = find_adapters(tmp_path, {}, trust=False)
    assert len(expected) == 4 and len(adapters) == 8 and lora.targets == ("q_proj", "v_proj")
    for module, delta in expected.items():
        down, up = (adapters[f"{module}.lora_{side}.default.weight"] for side in "AB")
        assert down.shape[0] == up.shape[1] == lora.rank
        torch.testing.assert_close(up @ down * (lora.alpha / lora.rank), delta, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "use_dora: true: these adapters are more than LoRA's two factors; merge it with peft"),
        ({"bias": "all"}, 'bias: "all": these adapters'),
        ({"modules_to_save": ["lm_head"]}, r'modules_to_save: \["lm_head"\]: these adapters'),
        ({"peft_type": "LOHA"}, "peft_type: expected LORA, found LOHA; merge it with peft"),
        ({"init_lora_weights": "pissa_niter_4"}, 'init_lora_weights: "pissa_niter_4": these adapters'),
        ({"layer_replication": [[0, 2]]}, r"layer_replication: \[\[0, 2\]\]: these adapters"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out: true: these adapters"),
    ],
)
def test_more_than_lora_is_refused_by_name(zoo, tmp_path, settings, message):
    published(zoo, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(ValueError, match=f"adapter_config.json: {message}"):
        find_adapters(tmp_path, {}, trust=False)
