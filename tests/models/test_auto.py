"""transformers' Auto classes open our folders, and everything generates by transformers' own `generate`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import PreTrainedModel

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import open_answerer
from ullava.models.assembly import assemble
from ullava.models.folders.checkpoints import save

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(recipe, tmp_path_factory):
    """A run's folder."""
    assembled = assemble(recipe())
    place = tmp_path_factory.mktemp("auto") / "run"
    save(place, assembled.model, assembled.config, assembled.processor.tokenizer)
    return place


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("first", ["ullava", "transformers"])
def test_both_classes_know_us_in_either_order(folder, first):
    second = {"ullava": "transformers", "transformers": "ullava"}[first]
    told = f"""
import sys
import {first}
if {first!r} == "ullava":
    assert not {{"torch", "transformers"}} & sys.modules.keys(), "import ullava is heavy"
import {second}
from transformers import AutoConfig, AutoModelForCausalLM
config = AutoConfig.from_pretrained({str(folder)!r})
assert type(config).__name__ == "UllavaConfig"
assert type(AutoModelForCausalLM.from_pretrained({str(folder)!r})).__name__ == "UllavaForCausalLM"
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_model_is_one_of_transformers(model, folder):
    assert isinstance(model, PreTrainedModel)
    assert isinstance(model.config, type(AutoConfig.from_pretrained(folder)))
    assert model.dtype == torch.float32 and not model.training


def only(model, *tokens: str) -> list[int]:
    """All ids but those of `tokens`: what `generate` has to suppress, so that nothing else is said."""
    tokenizer = model.answerer.processor.tokenizer
    return sorted(set(range(len(tokenizer))) - set(tokenizer.convert_tokens_to_ids(list(tokens))))


def test_asking_is_what_inference_does(model, folder, world):
    options = {"suppress_tokens": only(model, "[SEG]", "[LOC]")}
    reply = model.ask("Can you segment the red circle?", world.folder / "0.png", max_new_tokens=6, **options)
    question = world.dialogue("ask", [0], ("Can you segment the red circle?", ""))
    (answer,) = open_answerer(str(folder), GenerationConfig(max_new_tokens=6, options=options))([question])
    assert reply.text == answer.text
    assert len(reply.masks) == reply.text.count("[SEG]") and len(reply.boxes) == reply.text.count("[LOC]")
    assert len(reply.masks) + len(reply.boxes) == 6
    assert list(reply.boxes) == list(answer.predictions["box"])
    for mask, expected in zip(reply.masks, answer.predictions["mask"], strict=True):
        assert mask.shape == (60, 80)
        np.testing.assert_array_equal(mask, np.asarray(expected) > 0.5)


def test_options_of_generate_are_obeyed(model, world):
    asked = ("Where is it?", world.folder / "0.png")
    assert model.ask(*asked, max_new_tokens=3, suppress_tokens=only(model, "[SEG]")).text == "[SEG] [SEG] [SEG]"
    drawn = [model.ask(*asked, max_new_tokens=8, do_sample=True, temperature=5.0, seed=n).text for n in range(4)]
    assert len(set(drawn)) > 1
    with pytest.raises(ValueError, match="generation.options: expected one answer a question, found 2 for 1"):
        model.ask(*asked, max_new_tokens=4, num_beams=2, num_return_sequences=2)


def test_generate_and_forward_are_the_language_models(model, folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer("What is here?", return_tensors="pt")
    told = {"max_new_tokens": 5, "min_new_tokens": 5, "num_return_sequences": 2, "num_beams": 2, "pad_token_id": 2}
    with torch.no_grad():
        assert model.generate(**inputs, **told).shape[0] == 2
        logits = model(**inputs).logits
        torch.testing.assert_close(logits, model.network.llm(**inputs).logits)


def test_what_nobody_would_obey_is_refused(folder):
    with pytest.raises(TypeError, match="no argument device_map; there are dtype, precision,"):
        AutoModelForCausalLM.from_pretrained(folder, device_map="auto")


@pytest.mark.parametrize(
    ("named", "expected"), [({"dtype": torch.bfloat16}, torch.bfloat16), ({"precision": "fp16"}, torch.float16)]
)
def test_dtype_is_a_precision(folder, named, expected, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(folder, **named)
    assert model.network.llm.dtype == expected
    assert next(model.network.heads["box"].parameters()).dtype == torch.float32
    with pytest.raises(ValueError, match="these weights are rounded"):
        model.save_pretrained(tmp_path / "again")


def test_what_is_saved_opens_again(model, tmp_path):
    model.save_pretrained(tmp_path / "again")
    again = dict(AutoModelForCausalLM.from_pretrained(tmp_path / "again").network.named_weights())
    assert all(torch.equal(weight, again[name]) for name, weight in model.network.named_weights())


def test_a_published_folder_says_how_to_become_ours(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "ullava"}')
    with pytest.raises(FileNotFoundError, match="holds no ullava.json; .*ullava convert"):
        AutoModelForCausalLM.from_pretrained(tmp_path)
