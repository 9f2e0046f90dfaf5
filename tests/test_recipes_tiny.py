"""The embedded world's recipes, checked on a few drawn scenes; their stages' folders hold what a parent has."""

from pathlib import Path

import pytest

from ullava.checking.check import check
from ullava.configs.load import CONFIGS
from ullava.configs.schema import ModelConfig
from ullava.configs.yaml12 import read_yaml
from ullava.datasets.tiny_world.world import draw_world
from ullava.models.assembly import assemble
from ullava.models.folders.checkpoints import save

ROOT = Path(__file__).parents[1]
RECIPES = sorted((CONFIGS / "tiny").glob("*.yaml"))
HEADS = {
    "mask": {"sam": "models/zoo/tiny/sam"}, "box": {}, "detector": {"weights": "models/zoo/tiny/groundingdino"},
}  # fmt: skip
LEARNED = {"boxes": ("mask", "box"), "keyseg": ("mask",), "sd_parts": ("mask",)}  # heads of the run gone on from


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The data root with four scenes and two films of each split."""
    root = tmp_path_factory.mktemp("data")
    for split in ("tiny_train", "tiny_val", "tiny_test"):
        draw_world(root / "tiny_world", split, 4, videos=2, workers=1)
    return root


@pytest.fixture
def here(data, tmp_path, monkeypatch) -> Path:
    """A working directory from which the shipped foundations are seen as from the checkout."""
    monkeypatch.setenv("ULLAVA_DATA", str(data))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    return tmp_path


def lay_run(folder: str, heads: dict) -> None:
    """The folder of a run with these heads, on the shipped foundations."""
    section = {
        "llm": "models/zoo/tiny/llm", "vision": {"tower": "models/zoo/tiny/clip", "layer": -1}, "projector": "mlp2",
        "conversation": "simple", "heads": heads,
    }  # fmt: skip
    assembled = assemble(ModelConfig.model_validate(section))
    save(Path(folder), assembled.model, assembled.config, assembled.processor.tokenizer)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_check_passes_on_a_recipe(here, path):
    section = read_yaml(path)["model"]
    if isinstance(section, str):
        lay_run(section, HEADS)
    elif not Path(section["llm"]).exists():  # an earlier stage writes it
        mask = section.get("heads", {}).get("mask", {})
        plain = {"mask": {key: value for key, value in mask.items() if key != "fusion"}}
        lay_run(section["llm"], {name: plain.get(name, {}) for name in LEARNED.get(path.stem, ())})
    assert f"{path} is sound" in check(path)
