"""The recipes on real samples load, their datasets open, and one dialogue of every row goes through the network."""

import os
from pathlib import Path

import pytest
import torch

from tests.shared import SHARED
from ullava.configs.load import load
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.models.assembly import assemble
from ullava.models.batching.collator import Collator
from ullava.tasks.base import TASKS
from ullava.training.train import choose, open_mixture

ROOT = Path(__file__).parents[1]
REAL = ROOT / "configs" / "real"
REALDATA = SHARED / "realdata"
FITS = ("fit_regions", "fit_words")
RUNS = ("stage1", "stage2_lora", *FITS)
NAMED = {  # what has to be trained on: beginnings of the catalogue's names
    "coco_mini": {"captioning", "res", "rec"}, "flickr8k": {"captioning"}, "refcoco_": {"res"}, "refcoco+": {"res"},
    "refcocog": {"res"}, "duts": {"salient"}, "camvid": {"semantic"}, "daquar": {"vqa"}, "msrvtt": {"video_captioning"},
}  # fmt: skip

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not REALDATA.is_dir(), reason=f"{REALDATA} is not here ($ULLAVA_SHARED)"),
]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("ULLAVA_SHARED", str(REALDATA.parent))


def recipe(name: str) -> RunConfig:
    return load(REAL / f"{name}.yaml", RunConfig)


def test_both_stages_together_train_on_every_named_set():
    rows = [row for name in ("stage1", "stage2_lora") for row in recipe(name).data]
    for name, tasks in NAMED.items():
        assert tasks <= {row.task for row in rows if row.dataset.startswith(name)}, name


def test_no_picture_is_trained_on_that_is_evaluated():
    trained = {row.dataset for name in ("stage1", "stage2_lora") for row in recipe(name).data}
    for row in load(REAL / "eval.yaml", EvaluationConfig).evaluate:
        assert row.dataset not in trained
        seen = {m for name in trained for m in media(name) if name.split("_")[0] == row.dataset.split("_")[0]}
        assert seen and not seen & media(row.dataset, row.task)


def media(name: str, task: str | None = None) -> set:
    tasks = [task] if task else [row.task for run in RUNS for row in recipe(run).data if row.dataset == name]
    return {medium.path for task in tasks for sample in open_dataset(name, task) for medium in sample.media}


@pytest.mark.parametrize("name", FITS)
def test_fits_hold_sixteen_pictures_each(name):
    config = recipe(name)
    for row in config.data:
        pictures = {sample.media for sample in open_dataset(row.dataset, row.task, config.datasets)}
        assert len(pictures) == 16, row.dataset


@pytest.fixture(scope="module")
def network():
    """A network that has every part, everything learning."""
    os.chdir(ROOT)
    config = recipe("fit_regions")
    assembled = assemble(config.model, losses=config.losses, max_length=config.training.max_length)
    choose(assembled, config)
    return assembled


@pytest.mark.parametrize("name", RUNS)
def test_a_dialogue_of_every_row_goes_through_the_network(name, network):
    config = recipe(name)
    mixture = open_mixture(config)
    places = {mixture.row_of(0, k): k for k in range(mixture.size(0))}
    assert len(places) == len(config.data)
    rows = [network.processor(mixture[0, k]) for k in places.values()]
    collate = Collator(network.processor.tokenizer.pad_token_id, [head.token for head in network.model.heads.values()])
    losses = network.model(collate(rows))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    learned = {"llm", "vision_module", "projector"} | ({"sam_encoder", "heads"} if config.model.heads else set())
    for part in learned:
        weights = [weight for weight_name, weight in network.model.named_parameters() if weight_name.startswith(part)]
        moved = [weight.grad is not None and bool(weight.grad.any()) for weight in weights]
        assert sum(moved) > 0.8 * len(moved), f"{part}: {sum(moved)} of {len(moved)} tensors have a gradient"
    network.model.zero_grad()


def test_every_task_of_the_evaluation_has_questions():
    for row in load(REAL / "eval.yaml", EvaluationConfig).evaluate:
        reader = open_dataset(row.dataset, row.task)
        assert next(TASKS.build(row.task, row.options).eval_dialogues(reader[0])).turns
