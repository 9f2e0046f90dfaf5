"""The LISA family's recipes at full size, checked on drawn data laid out as LISA and LaSagnA have it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from ullava.checking.check import check
from ullava.configs.load import CONFIGS, load
from ullava.configs.schema import RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.tiny_world import family
from ullava.datasets.tiny_world.world import draw_world

RECIPES = ("lisa", "lisa_reason", "lasagna", "keyseg", "sd_parts")
WITHOUT = [] if find_spec("deepspeed") else ["training.deepspeed=null"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return draw_world(tmp_path_factory.mktemp("drawn"), "tiny_train", 6, workers=1)


@pytest.fixture(scope="module", params=[family.as_lisa, family.as_lasagna], ids=lambda laid: laid.__name__)
def data(request, world, tmp_path_factory) -> Path:
    """The data root, with every set of the recipes in one project's tree."""
    root = tmp_path_factory.mktemp("data")
    family.lay_out(world, root, request.param)
    return root


@pytest.fixture
def here(data, tmp_path, monkeypatch, tmp_path_factory) -> Path:
    """A working directory with folders by the names of the weights, and nothing in them."""
    monkeypatch.setenv("ULLAVA_DATA", str(data))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path_factory.getbasetemp() / "family_cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_check_passes_on_a_recipe(here, lay_weights, name):
    path = CONFIGS / "train" / f"{name}.yaml"
    config = load(path, RunConfig)
    lay_weights(config.model, {})
    long = ["training.max_length=2048"] if name == "lasagna" else []  # a tiny tokenizer spells class names by letters
    said = check(path, [*WITHOUT, *long], devices=8)
    assert "is sound" in said and all(row.dataset in said for row in config.data)


def test_what_is_evaluated_is_left_out_of_training(here):
    """LISA's code keeps a list of these pictures, and never reads it."""
    val = {sample.media[0].path.name for sample in open_dataset("refcoco_val", "res")}
    for name, task in (("cocostuff", "semantic"), ("refcocog", "res"), ("llava_instruct", "vqa")):
        whole = {sample.media[0].path.name for sample in open_dataset(name, task)}
        left = {sample.media[0].path.name for sample in open_dataset(name, task, exclude=["refcoco_val"])}
        assert left == whole - val and left
