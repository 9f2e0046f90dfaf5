"""The embedded world's recipes, checked on a few drawn scenes; their stages' folders are cards of what a parent has."""

import json
from pathlib import Path

import pytest

from ullava.checking.check import check
from ullava.configs.load import CONFIGS
from ullava.configs.yaml12 import read_yaml
from ullava.datasets.tiny_world.world import draw_world

ROOT = Path(__file__).parents[1]
RECIPES = sorted((CONFIGS / "tiny").glob("*.yaml"))
HEADS = {"mask": {}, "box": {}, "detector": {}}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The data root with four scenes and one film of each split."""
    root = tmp_path_factory.mktemp("data")
    for split in ("tiny_train", "tiny_val", "tiny_test"):
        draw_world(root / "tiny_world", split, 4, videos=1, workers=1)
    return root


@pytest.fixture
def here(data, tmp_path, monkeypatch) -> Path:
    """A working directory from which the shipped foundations are seen as from the checkout."""
    monkeypatch.setenv("ULLAVA_DATA", str(data))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    return tmp_path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_check_passes_on_a_recipe(here, path):
    tree = read_yaml(path)
    section = tree["model"]
    parent = Path(section if isinstance(section, str) else section["llm"])
    if not parent.exists():  # an earlier stage writes it
        parent.mkdir(parents=True)
        heads = HEADS if isinstance(section, str) else {}
        (parent / "ullava.json").write_text(json.dumps({"model": {"heads": heads}}))
    assert f"{path} is sound" in check(path)
