"""A merged folder: whole, movable, and of the same mind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import open_answerer
from ullava.models.assembly import assemble, reopen
from ullava.models.convert.merge import merge
from ullava.models.folders.checkpoints import ADAPTER, read_card, save


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


ROOT = Path(__file__).resolve().parents[3]
PEAK = """
import gc, re, sys
from pathlib import Path
from ullava.models.convert.merge import merge

def resident(name: str) -> int:
    return int(re.search(rf"{name}:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

small, large, place = sys.argv[1:]
merge(small, f"{place}/merged_small")  # all libraries are loaded
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = resident("VmRSS")
merge(large, f"{place}/merged_large")
print(resident("VmHWM") - before)
"""


@pytest.fixture
def sharded(recipe, zoo, tmp_path):
    """Makes a run with adapters on a language model of four files: its folder, and the bytes of its largest file."""

    def make(name: str, width: int) -> tuple[Path, list[int]]:
        base = shutil.copytree(zoo / "llm", tmp_path / name)
        (base / "model.safetensors").unlink()
        settings = AutoConfig.from_pretrained(zoo / "llm")
        settings.update({"hidden_size": width, "intermediate_size": 8 * width, "num_hidden_layers": 4})
        settings.head_dim = width // settings.num_attention_heads
        settings.save_pretrained(base)
        cut(AutoModelForCausalLM.from_config(settings).state_dict(), base)
        assembled = assemble(recipe(llm=str(base), heads={}, lora={"rank": 4}))
        with torch.no_grad():
            for parameter_name, parameter in assembled.model.named_parameters():
                if ".lora_B." in parameter_name:
                    parameter.normal_(0, 0.1)
        run = tmp_path / f"{name}_run"
        save(run, assembled.model, assembled.config, assembled.processor.tokenizer)
        return run, [file.stat().st_size for file in base.glob("*.safetensors")]

    return make


def cut(tensors: dict, folder: Path) -> None:
    """Writes a language model of four layers in four files and their index."""
    places = {name: 3 for name in tensors} | {name: 0 for name in tensors if "embed" in name}
    places |= {name: int(name.split(".")[2]) for name in tensors if ".layers." in name}
    names = {name: f"model-{number + 1:05}-of-00004.safetensors" for name, number in places.items()}
    for file in set(names.values()):
        held = {name: tensor for name, tensor in tensors.items() if names[name] == file}
        save_file(held, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self")
@pytest.mark.slow
def test_merge_holds_no_more_than_twice_the_largest_file_and_the_adapters(sharded, tmp_path):
    """The process's own peak (VmHWM), over what it holds after a small merge: pages mapped from files count, too."""
    (small, _), (large, sizes) = sharded("small", 16), sharded("large", 384)
    assert len(sizes) == 4
    told = [sys.executable, "-c", PEAK, str(small), str(large), str(tmp_path)]
    found = subprocess.run(told, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, cwd=ROOT)
    assert found.returncode == 0, found.stderr
    bound = 2 * max(sizes) + (large / ADAPTER).stat().st_size
    assert int(found.stdout.split()[-1]) <= bound + 2**20
    assert bound < 0.75 * sum(sizes)  # so that the whole would not go in


def test_merged_files_are_cut_as_their_base(sharded, world, batch, tmp_path):
    run, sizes = sharded("base", 32)
    merge(str(run), str(tmp_path / "merged"))
    index = json.loads((tmp_path / "merged" / "llm" / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == len(sizes) == 4
    assert index["metadata"]["total_size"] == sum(
        parameter.nbytes for parameter in reopen(tmp_path / "merged").model.llm.parameters()
    )
    ids = batch(world.chat()).input_ids
    with torch.no_grad():
        mine, yours = (reopen(folder).model.eval().llm(ids).logits for folder in (tmp_path / "merged", run))
    torch.testing.assert_close(mine, yours, atol=1e-5, rtol=0)


def test_a_drawn_language_model_is_written_whole(recipe, tmp_path):
    assembled = assemble(recipe(heads={}, from_scratch=["llm"], lora={"rank": 2}))
    save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    merge(str(tmp_path / "run"), str(tmp_path / "merged"))
    one, other = (dict(reopen(tmp_path / name).model.llm.named_parameters()) for name in ("run", "merged"))
    assert [name for name in other if not torch.equal(other[name], one.get(name, one.get(layered(name))))] == []


def layered(name: str) -> str:
    """A linear layer's weight beside an adapter, which begins as nothing."""
    return name.replace(".weight", ".base_layer.weight")


def test_weights_that_are_not_the_cards_are_refused(run, tmp_path):
    folder = shutil.copytree(run / "run", tmp_path / "run")
    card = json.loads((folder / "ullava.json").read_text())
    card["learned"].remove("projector.0.bias")
    (folder / "ullava.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="learned.safetensors: 1 weights are not those of its card; projector.0.bias"):
        merge(str(folder), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
