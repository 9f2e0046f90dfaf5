"""A merged folder: whole, movable, and of the same mind."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import open_answerer
from ullava.models.assembly import assemble, reopen
from ullava.models.checkpoints import read_card, save
from ullava.models.merge import merge


@pytest.fixture(scope="module")
def run(recipe, zoo, tmp_path_factory):
    """A run with adapters and a tower that learned, on foundations of its own; all three may vanish."""
    place = tmp_path_factory.mktemp("merge")
    own = shutil.copytree(zoo, place / "zoo")
    heads = {"mask": {"sam": str(own / "sam")}, "box": {"channels": 16}}
    lora = {"rank": 2, "dropout": 0.0}
    config = recipe(llm=str(own / "llm"), vision={"tower": str(own / "clip")}, heads=heads, lora=lora)
    assembled = assemble(config)
    assembled.model.let_learn("vision")
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in assembled.model.named_parameters():
            if not name.startswith("llm.model.layers") or ".lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.02)
    for parameter in assembled.model.vision.module.parameters():
        parameter.requires_grad_(True)
    save(place / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    merge(str(place / "run"), str(place / "merged"))
    return place


@pytest.fixture
def moved(run, tmp_path):
    """The merged folder at another place, alone."""
    return shutil.copytree(run / "merged", tmp_path / "elsewhere")


def test_a_merged_folder_names_no_place_outside(run):
    card = json.loads((run / "merged" / "ullava.json").read_text())
    assert card["model"]["llm"] == "llm"
    assert card["model"]["vision"]["tower"] == "vision"
    assert card["model"]["heads"]["mask"]["sam"] == "sam"
    assert set(card["bases"]) == {"llm", "vision", "sam"}
    assert str(run) not in (run / "merged" / "ullava.json").read_text()


def test_a_moved_folder_stands_alone(moved):
    assert set(read_card(moved).bases) == {str(moved / name) for name in ("llm", "vision", "sam")}


def test_merged_losses_are_the_adapters(run, moved, world, batch):
    found = batch(world.segment(0), world.segment(1), world.chat())
    with torch.no_grad():
        expected = reopen(run / "run").model.eval()(found).parts
        parts = reopen(moved).model.eval()(found).parts
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value, atol=1e-5, rtol=0)


def test_merged_answers_are_the_adapters(run, moved, world):
    how = GenerationConfig(max_new_tokens=8)
    question = world.dialogue("ask", [0], ("Where is it?", ""))
    told = [world.segment(0), world.segment(1)]
    mine, yours = open_answerer(str(moved), how), open_answerer(str(run / "run"), how)
    assert mine([question])[0].text == yours([question])[0].text
    for one, other in zip(mine(told, given=True), yours(told, given=True), strict=True):
        np.testing.assert_allclose(one.predictions["mask"][0], other.predictions["mask"][0], atol=1e-5)
        np.testing.assert_allclose(one.predictions["box"][0], other.predictions["box"][0], atol=1e-3)


def test_what_is_not_folded_comes_back_bit_for_bit(run, moved):
    mine = dict(reopen(moved).model.named_weights())
    yours = {name: weight for name, weight in reopen(run / "run").model.named_weights() if ".lora_" not in name}
    folded = {name.replace(".base_layer", "") for name in yours if "base_layer" in name}
    assert mine.keys() == {name.replace(".base_layer", "") for name in yours}
    kept = mine.keys() - folded
    assert [name for name in kept if not torch.equal(mine[name], yours[name])] == []


def test_the_language_model_opens_without_us(run, moved, world, batch):
    llm = AutoModelForCausalLM.from_pretrained(moved / "llm")
    tokenizer = AutoTokenizer.from_pretrained(moved / "llm")
    assert len(llm.get_input_embeddings().weight) == len(tokenizer)
    assert (moved / "llm" / "generation_config.json").is_file()
    ids = batch(world.chat()).input_ids
    with torch.no_grad():
        torch.testing.assert_close(llm(ids).logits, reopen(run / "run").model.eval().llm(ids).logits, atol=1e-5, rtol=0)


def test_a_merged_folder_is_a_parent(recipe, moved, tmp_path):
    heads = {"mask": {"sam": str(moved / "sam")}, "box": {"channels": 16}}
    child = assemble(recipe(llm=str(moved), vision=None, heads=heads, lora={"rank": 4}))
    save(tmp_path / "child", child.model, child.config, child.processor.tokenizer)
    opened = reopen(tmp_path / "child").model
    weights = dict(opened.named_weights())
    assert [name for name, weight in child.model.named_weights() if not torch.equal(weights[name], weight)] == []


def test_a_merged_folder_may_be_merged(moved, tmp_path):
    merge(str(moved), str(tmp_path / "again"))
    one, other = (dict(reopen(folder).model.named_weights()) for folder in (moved, tmp_path / "again"))
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_nothing_is_written_over(run, tmp_path):
    with pytest.raises(FileExistsError, match="exists already; name another folder"):
        merge(str(run / "run"), str(tmp_path))


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no ullava.json"):
        merge(str(tmp_path), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
