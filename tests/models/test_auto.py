"""transformers' Auto classes open our folders once `ullava.auto` is imported, and generate by their own `generate`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import PreTrainedModel

import ullava.auto  # noqa: F401, registers
from ullava.models.auto import device_named

ROOT = Path(__file__).resolve().parents[2]


def run_python(code: str) -> str:
    """What a fresh Python prints that runs `code` at the root of the checkout."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_importing_ullava_loads_nothing_heavy_and_hides_no_finder():
    code = "import sys; before = list(sys.meta_path); import ullava; print(sys.meta_path == before, *sys.modules)"
    same, *modules = run_python(code).split()
    assert same == "True" and not {"torch", "transformers", "numpy"} & set(modules)


@pytest.mark.parametrize("first", ["ullava", "transformers"])
def test_importing_ullava_registers_nothing_in_either_order(first):
    second = {"ullava": "transformers", "transformers": "ullava"}[first]
    code = f"import {first}, {second}; from transformers import CONFIG_MAPPING; print('ullava' in CONFIG_MAPPING)"
    assert run_python(code).strip() == "False"


@pytest.mark.parametrize("first", ["ullava.auto", "transformers"])
def test_the_auto_classes_know_us_in_either_order(run_folder, first):
    second = {"ullava.auto": "transformers", "transformers": "ullava.auto"}[first]
    code = f"""
import {first}
import {second}
from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor
for kind in (AutoConfig, AutoModelForCausalLM, AutoProcessor):
    print(type(kind.from_pretrained({str(run_folder)!r})).__name__)
"""
    assert run_python(code).split() == ["UllavaConfig", "UllavaForCausalLM", "UllavaProcessor"]


def test_the_model_is_one_of_transformers(model, run_folder):
    assert isinstance(model, PreTrainedModel)
    assert isinstance(model.config, type(AutoConfig.from_pretrained(run_folder)))
    assert model.dtype == torch.float32 and not model.training


def test_generate_and_forward_are_the_language_models(model, run_folder):
    tokenizer = AutoTokenizer.from_pretrained(run_folder)
    inputs = tokenizer("What is here?", return_tensors="pt")
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "num_return_sequences": 2, "num_beams": 2}
    with torch.no_grad():
        assert model.generate(**inputs, **options).shape == (2, inputs["input_ids"].shape[1] + 5)
        logits = model(**inputs).logits
        torch.testing.assert_close(logits, model.network.llm(**inputs).logits)


def test_what_nobody_would_obey_is_refused(run_folder):
    with pytest.raises(TypeError, match="no argument max_memory; there are dtype, device_map, precision,"):
        AutoModelForCausalLM.from_pretrained(run_folder, max_memory={0: "1GB"})


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"dtype": torch.bfloat16}, torch.bfloat16), ({"torch_dtype": torch.float16}, torch.float16),
        ({"precision": "fp16"}, torch.float16), ({"dtype": "bfloat16"}, torch.bfloat16),
        ({"dtype": "auto"}, torch.float32), ({"dtype": "bfloat16", "precision": "bf16"}, torch.bfloat16),
    ],
)  # fmt: skip
def test_dtype_is_a_precision(run_folder, named, expected, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(run_folder, **named)
    assert model.network.llm.dtype == expected
    assert next(model.network.heads["box"].parameters()).dtype == torch.float32
    if expected != torch.float32:
        with pytest.raises(ValueError, match="these weights are rounded"):
            model.save_pretrained(tmp_path / "again")


def test_two_precisions_are_refused(run_folder):
    with pytest.raises(ValueError, match="expected one precision, found bf16, fp16"):
        AutoModelForCausalLM.from_pretrained(run_folder, dtype=torch.float16, precision="bf16")


@pytest.mark.parametrize("named", [{"device_map": "cpu"}, {"device_map": {"": "cpu"}}, {"device": "cpu"}])
def test_the_device_is_the_one_that_is_named(run_folder, named):
    assert AutoModelForCausalLM.from_pretrained(run_folder, **named).device == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "device_map", "expected"),
    [
        (None, None, None), (None, "auto", None), ("cuda:1", None, "cuda:1"), (None, {"": "cuda:1"}, "cuda:1"),
        (torch.device("cuda", 1), "cuda:1", "cuda:1"), (None, "cpu", "cpu"),
    ],
)  # fmt: skip
def test_devices_are_named_as_in_transformers(device, device_map, expected):
    assert device_named(device, device_map) == expected


@pytest.mark.parametrize(("device", "device_map"), [("cpu", "cuda"), (None, {"llm": "cuda:0", "heads": "cuda:1"})])
def test_one_network_lives_on_one_device(device, device_map):
    with pytest.raises(ValueError, match="device_map: expected one device for the whole network, found c"):
        device_named(device, device_map)


def test_a_published_folder_says_how_to_become_ours(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "ullava"}')
    with pytest.raises(FileNotFoundError, match="holds no ullava.json; .*ullava convert"):
        AutoModelForCausalLM.from_pretrained(tmp_path)
