"""Contrast over ranks: eight rows on one process, or four on each of two that are each other's negatives."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ullava.configs.schema import RunConfig
from ullava.tasks.mixture import Mixture
from ullava.training.preflight import open_mixture

TOGETHER = 1e-5
PAIRS = (("lid", "pot"), ("lid", "jar"), ("handle", "pot"), ("handle", "cup"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage(run_of, recipe, patchwork, tmp_path_factory):
    """Makes the tree of a run over words and parts without masks, half of each."""
    images, rng = tmp_path_factory.mktemp("parts"), np.random.default_rng(3)
    for n in range(8):
        folder = images.joinpath(*PAIRS[n % 4])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(folder / f"{n}.png")
    heads = recipe().heads | {"contrast": {"channels": 8, "hidden": 16, "gather": True}}
    model = recipe(lora={"rank": 2, "dropout": 0.0}, heads=heads).model_dump(mode="json")
    data = [{"dataset": "talk", "task": "vqa"}, {"dataset": "sd", "task": "part", "options": {"says": ["SEG"]}}]
    datasets = patchwork | {"sd": {"reader": "part_folders", "images": str(images)}}
    return lambda output, **training: run_of(output, training=training) | {
        "model": model, "data": data, "datasets": datasets,
    }  # fmt: skip


@pytest.fixture(scope="module")
def seeds(stage, cache, tmp_path_factory):
    """Seeds under which both ranks get parts in the first step, and under which rank 1 gets words only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_CACHE", str(cache))
        rows = open_mixture(RunConfig.model_validate(stage(tmp_path_factory.mktemp("none")))).rows
    shares = {}
    for seed in range(2000):
        mixture = Mixture(rows, seed)
        first, second = (sum(mixture.row_of(0, k) for k in span) for span in (range(4), range(4, 8)))
        shares.setdefault("words" if first > 1 and second == 0 else "mixed" if 0 < second < first else "", seed)
    return {name: shares[name] for name in ("mixed", "words")}


@pytest.fixture(scope="module")
def steps(stage, seeds, launch, tmp_path_factory):
    """Folders of one step, by (what the rows are, how many processes)."""
    folder = tmp_path_factory.mktemp("contrast")
    for count, size in ((1, 8), (2, 4)):
        launch([stage(folder / f"{rows}{count}", batch_size=size, seed=seed) for rows, seed in seeds.items()], count)
    return folder


@pytest.mark.parametrize("rows", ["mixed", "words"])
def test_two_ranks_that_share_their_negatives_are_one(steps, rows):
    one, two = (json.loads((steps / f"{rows}{count}/log.jsonl").read_text().splitlines()[0]) for count in (1, 2))
    for name in ("loss", "contrast", "multi_label", "grad_norm"):
        assert one[name] == pytest.approx(two[name], abs=TOGETHER, rel=TOGETHER), name
    whole = torch.load(steps / f"{rows}1/gradients-0.pt")
    assert any(gradient.any() for name, gradient in whole.items() if name.startswith("heads.contrast."))
    for rank in range(2):
        shared = torch.load(steps / f"{rows}2/gradients-{rank}.pt")
        for name, gradient in whole.items():
            torch.testing.assert_close(shared[name], gradient, atol=TOGETHER, rtol=0)
