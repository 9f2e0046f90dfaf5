"""A folder of weights brings no code: no classes, tokenizers, kernels or templates, and nothing from elsewhere."""

import json
import shutil

import pytest
import torch
from jinja2.exceptions import SecurityError
from transformers import AutoTokenizer

from ullava.models.assembly import assemble, reopen
from ullava.models.backbones.vision_tower import open_vision
from ullava.models.folders.checkpoints import save

EVIL = """
import os
os.mkdir({sprung!r})
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
class Config(LlamaConfig): model_type = "evil"
class Model(LlamaForCausalLM): config_class = Config
class Tokenizer(PreTrainedTokenizerFast): pass
def generate(*_, **__): return 1
"""


@pytest.fixture
def llm(tmp_path, zoo, monkeypatch):
    """A language model's folder that brings a program; fails where that has run, or where somebody is asked."""

    def ask(*_):
        raise AssertionError("somebody was asked whether to run code")

    monkeypatch.setattr("builtins.input", ask)
    folder, sprung = tmp_path / "llm", tmp_path / "sprung"
    shutil.copytree(zoo / "llm", folder)
    (folder / "custom_generate").mkdir()
    for path in (folder / "evil.py", folder / "custom_generate" / "generate.py"):
        path.write_text(EVIL.format(sprung=str(sprung)))
    yield folder
    assert not sprung.exists(), "the code was run"


def change(folder, name: str, **settings) -> None:
    """Writes keys into a JSON file of a folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


MAP = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.Tokenizer"] * 2}


def test_an_architecture_that_only_its_own_code_knows_is_refused(llm, recipe):
    change(llm, "config.json", model_type="evil", auto_map=MAP)
    with pytest.raises(ValueError, match="model.llm: .*llm holds code of its own, which is never run"):
        assemble(recipe(llm=str(llm)))


def test_a_known_architecture_is_built_without_the_code_beside_it(llm, recipe):
    change(llm, "config.json", auto_map=MAP)
    assert type(assemble(recipe(llm=str(llm))).model.llm).__module__.startswith("transformers.")


def test_a_tokenizer_that_only_its_own_code_knows_is_refused(llm, recipe):
    change(llm, "tokenizer_config.json", tokenizer_class="Tokenizer", auto_map=MAP)
    with pytest.raises(ValueError, match="model.llm: .*llm holds code of its own, which is never run"):
        assemble(recipe(llm=str(llm)))


@pytest.mark.parametrize("place", ["root", "inner"])
def test_kernels_from_a_hub_are_refused(tmp_path, zoo, place):
    shutil.copytree(zoo / "clip", tmp_path / "clip")
    wanted = {"attn_implementation": "somebody/kernels"}
    change(tmp_path / "clip", "config.json", **(wanted if place == "root" else {"vision_config": wanted}))
    with pytest.raises(ValueError, match="model.vision.tower: .*config.json asks for the kernels 'somebody/kernels'"):
        open_vision(str(tmp_path / "clip"), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", 5])
def test_weights_lie_in_their_folder(tmp_path, zoo, name):
    shutil.copytree(zoo / "clip", tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").rename(tmp_path / "other.safetensors")
    index = {"metadata": {}, "weight_map": {"vision_model.embeddings.class_embedding": name}}
    (tmp_path / "clip" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="index.json names the weights .*; expected files beside it"):
        open_vision(str(tmp_path / "clip"), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.mkdir(path) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
    ],
)
def test_a_chat_template_runs_in_a_sandbox(llm, template):
    tokenizer = AutoTokenizer.from_pretrained(llm)
    with pytest.raises(SecurityError):
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], chat_template=template, tokenize=False)


def test_a_run_stands_on_no_other_weights_than_it_was_trained_on(tmp_path, recipe, zoo):
    # A card names the folders of its foundations, and they are opened: the user names a run, and with it these. Their
    # hashes stand beside them, they are local folders, and all of the above is asked of them, too.
    made = assemble(recipe())
    save(tmp_path / "run", made.model, made.config, made.processor.tokenizer)
    card = tmp_path / "run" / "ullava.json"
    sound = card.read_text()
    shutil.copytree(zoo / "llm", tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").write_bytes((zoo / "clip" / "model.safetensors").read_bytes())
    card.write_text(sound.replace(str(zoo / "llm"), str(tmp_path / "other")))
    with pytest.raises(ValueError, match="run was trained on .*other with sha256 .*, found .* put those weights back"):
        reopen(tmp_path / "run")
    card.write_text(sound.replace(str(zoo / "llm"), "somebody/model"))
    with pytest.raises(FileNotFoundError, match="somebody/model: no such folder"):
        reopen(tmp_path / "run")
