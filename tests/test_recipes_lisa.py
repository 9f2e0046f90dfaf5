"""LISA's recipes: their numbers, the sets that they name, and a released checkpoint that goes on as it was."""

import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.shared import SHARED
from ullava.checking.check import check
from ullava.configs.load import CONFIGS, load
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.datasets import catalogue
from ullava.datasets.tiny_world import layouts
from ullava.datasets.tiny_world.world import draw_world
from ullava.models.assembly import assemble
from ullava.models.convert.folder import convert
from ullava.tasks.base import TASKS
from ullava.tasks.rates import apportion

LISA = SHARED / "parity" / "lisa"


def recipe(name: str) -> RunConfig:
    return load(CONFIGS / "train" / f"{name}.yaml", RunConfig)


def test_lisa_has_the_published_numbers():
    """LISA's train_ds.py: 10 epochs of 500 steps of 2 x 10 x 8 samples at 9:3:3:1, warm-up of 100 steps."""
    lisa = recipe("lisa")
    training = lisa.training
    step = training.batch_size * training.accumulate * 8
    steps = training.epochs * lisa.sampling.samples_per_epoch / step
    assert (step, steps, training.warmup_ratio * steps, training.schedule) == (160, 5000, 100, "linear")
    assert set(lisa.learn.values()) == {3e-4} and training.betas == (0.9, 0.95) and training.weight_decay == 0
    drawn: Counter[str] = Counter()
    for row, count in zip(lisa.data, apportion(lisa.data, lisa.sampling), strict=True):
        drawn[row.family] += count
    assert drawn == {"sem_seg": 45000, "refer_seg": 15000, "vqa": 15000, "reason_seg": 5000}
    assert lisa.best == "reasonseg_val/reasoning/gIoU"


@pytest.mark.parametrize("name", ["lisa", "lisa_reason"])
def test_the_catalogue_has_every_set(name):
    config = recipe(name)
    for row in (*config.data, *config.evaluate):
        catalogue.choose(row.dataset, catalogue.find(row.dataset, {}), row.task)
        TASKS.build(row.task, row.options)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The data root, as LISA's README lays it out; every split shows the same pictures."""
    root = tmp_path_factory.mktemp("data")
    world = draw_world(tmp_path_factory.mktemp("drawn"), "tiny_train", 6, workers=1)
    layouts.lay_out(world, root, layouts.as_lisa)
    return root


@pytest.fixture
def here(data, tmp_path, monkeypatch, lay_weights):
    """A working directory with tiny weights by the names of the real ones."""
    monkeypatch.setenv("ULLAVA_DATA", str(data))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    lay_weights(recipe("lisa").model, {})
    lay_weights(recipe("lisa_reason").model, {"mask": {}})
    lay_weights(recipe("lisa_reason").model.model_copy(update={"llm": "runs/lisa"}), {"mask": {}})


@pytest.mark.parametrize("path", ["train/lisa.yaml", "train/lisa_reason.yaml", "eval/eval_reason.yaml"])
def test_check_passes_on_drawn_data(here, path):
    """Val splits are left in: where every split shows the same pictures, nothing would be left."""
    changes = [] if find_spec("deepspeed") or "eval" in path else ["training.deepspeed=null"]
    if path == "train/lisa.yaml":
        changes += [f"data.{n}.exclude=[]" for n, row in enumerate(recipe("lisa").data) if row.exclude]
    assert "is sound" in check(CONFIGS / path, changes)


def test_evaluation_is_overall_short_and_long():
    rows = load(CONFIGS / "eval" / "eval_reason.yaml", EvaluationConfig).evaluate
    entries = [catalogue.find(row.dataset, {}) for row in rows]
    assert [(entry["split"], entry.get("only")) for entry in entries] == [
        ("val", None), ("test", None), ("test", "short"), ("test", "long"),
    ]  # fmt: skip


@pytest.mark.shared
@pytest.mark.skipif(not LISA.is_dir(), reason="$ULLAVA_SHARED has no parity folder of LISA")
def test_a_released_checkpoint_goes_on_with_the_weights_it_has(tmp_path):
    """LISA's own loader draws its projection anew and takes SAM's decoder back: ours must not."""
    published = tmp_path / "published"
    shutil.copytree(LISA / "tokenizer", published)
    shutil.copyfile(LISA / "hf_config.json", published / "config.json")
    shutil.copyfile(LISA / "weights.safetensors", published / "model.safetensors")
    ours = convert("lisa", published, tmp_path / "lisa", vision=LISA / "clip-vit-tiny")
    config = recipe("lisa_reason").model
    config = config.model_copy(update={"llm": str(ours), "heads": {"mask": {"sam": str(ours / "sam")}}})
    opened = assemble(config, learns=("lora", "mask_decoder", "heads"))
    there, given = dict(opened.model.named_parameters()), load_file(LISA / "weights.safetensors")
    for layer in (0, 2):
        for kind in ("weight", "bias"):
            name = f"model.text_hidden_fcs.0.{layer}.{kind}"
            assert torch.equal(there[f"heads.mask.project.{layer}.{kind}"], given[name])
    sam = load_file(ours / "sam" / "model.safetensors")
    decoder = {name: weight for name, weight in there.items() if name.startswith("heads.mask.mask_decoder.")}
    assert decoder
    assert all(torch.equal(weight, sam[name.removeprefix("heads.mask.")]) for name, weight in decoder.items())
    words, theirs = opened.model.llm.get_input_embeddings().weight, given["model.embed_tokens.weight"]
    assert torch.equal(words[: len(theirs)], theirs)
    assert opened.processor.tokenizer.convert_tokens_to_ids("[SEG]") < len(theirs)  # the token that was trained
