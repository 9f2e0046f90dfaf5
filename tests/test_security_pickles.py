"""No pickle runs: not of references, of foundations, of what a run has learned, of a LoRA, of a checkpoint's state."""

import os
import pickle
import shutil

import pytest
import torch

from tests.older import without_sums
from ullava.models.assembly import assemble, reopen
from ullava.models.backbones.vision_tower import open_vision
from ullava.models.folders.checkpoints import save


class Trap:
    """A pickle of it makes the folder `path` when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path):
    """A pickle as bytes; the test fails where it has run."""
    sprung = tmp_path / "sprung"
    yield Trap(sprung)
    assert not sprung.exists(), "the pickle was run"


@pytest.fixture
def run(tmp_path, recipe):
    """The folder of a run with a LoRA, that opens."""
    made = assemble(recipe(lora={"rank": 2}))
    save(tmp_path / "run", made.model, made.config, made.processor.tokenizer)
    return tmp_path / "run"


def test_the_trap_works(trap, tmp_path):
    pickle.loads(pickle.dumps(trap))
    (tmp_path / "sprung").rmdir()


@pytest.mark.parametrize("protocol", range(6))
def test_references_are_plain_data(trap, tmp_path, protocol):
    from ullava.datasets.readers.regions.refer import unpickle

    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([{"ref_id": trap}], protocol=protocol))
    with pytest.raises(ValueError, match=r"refs\(unc\).p: expected a pickle of plain data, but it asks for \w+\."):
        unpickle(path)


@pytest.mark.parametrize("form", ["pickle", "torch", "old torch"])
def test_a_towers_weights_are_tensors(trap, tmp_path, zoo, form):
    folder = tmp_path / "clip"
    shutil.copytree(zoo / "clip", folder)
    (folder / "model.safetensors").unlink()
    path = folder / "pytorch_model.bin"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"x": trap}))
    else:
        torch.save({"x": trap}, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(ValueError, match="model.vision.tower: .*clip: its weights are a pickle that holds more than"):
        open_vision(str(folder), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)


def test_a_language_models_weights_are_tensors(trap, tmp_path, zoo, recipe):
    folder = tmp_path / "llm"
    shutil.copytree(zoo / "llm", folder)
    (folder / "model.safetensors").unlink()
    torch.save({"x": trap}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="model.llm: .*llm: its weights are a pickle that holds more than tensors"):
        assemble(recipe(llm=str(folder)))


@pytest.mark.parametrize("file", ["learned.safetensors", "adapter_model.safetensors"])
def test_what_a_run_has_learned_is_no_pickle(trap, run, file):
    torch.save({"x": trap}, run / file)
    without_sums(run)
    with pytest.raises(ValueError, match=f"{file}: cannot be read"):
        reopen(run)


def test_pickles_beside_a_runs_own_files_are_not_looked_at(trap, run):
    for name in ("adapter_model.bin", "pytorch_model.bin", "learned.bin", "training_args.bin"):
        torch.save({"x": trap}, run / name)
    assert reopen(run).config.lora.rank == 2


def test_a_lora_in_place_of_a_foundation_is_refused(trap, tmp_path, zoo, recipe):
    folder = tmp_path / "llm"
    shutil.copytree(zoo / "llm", folder)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "/somewhere/else"}')
    torch.save({"x": trap}, folder / "adapter_model.bin")
    with pytest.raises(ValueError, match="model.llm: .*llm is a LoRA for another model; merge it"):
        assemble(recipe(llm=str(folder)))


def test_published_weights_are_converted_as_tensors(trap, tmp_path):
    from ullava.models.weights.files import read_file

    torch.save({"model": trap}, tmp_path / "sam.pth")
    with pytest.raises(ValueError, match="sam.pth: cannot be read .* if you trust who wrote it: --trust"):
        read_file(tmp_path / "sam.pth")
