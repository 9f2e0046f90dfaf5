"""A step over eight rows is one step, whether one process takes them at once, in two bites, or two share them."""

import json

import pytest
import torch
from safetensors.torch import load_file

TOGETHER = 1e-5


@pytest.fixture(scope="module")
def seeds(seed_where) -> dict[str, int]:
    """Seeds under which the first step of eight rows is mixed, and under which rank 1 gets words only."""
    mixed = seed_where(lambda steps: 0 < steps[0][0].count(2) < steps[0][1].count(2) and 0 in steps[0][0])
    words = seed_where(lambda steps: set(steps[0][1]) == {0} and {1, 2} <= set(steps[0][0]))
    return {"mixed": mixed, "words": words}


@pytest.fixture(scope="module")
def steps(run_of, seeds, launch, tmp_path_factory):
    """Folders of one step, by (what the rows are, how they were shared)."""
    folder = tmp_path_factory.mktemp("equal")
    ways = {"whole": (8, 1, 1), "bites": (4, 2, 1), "ranks": (4, 1, 2)}
    for count in (1, 2):
        stages = [
            run_of(folder / rows / way, training={"batch_size": size, "accumulate": bites, "seed": seed})
            for rows, seed in seeds.items()
            for way, (size, bites, ranks) in ways.items()
            if ranks == count
        ]
        launch(stages, count)
    return folder


def logged(folder) -> dict:
    return json.loads((folder / "log.jsonl").read_text().splitlines()[0])


def seen(folder, ranks: int) -> list[list[str]]:
    """Samples of each step, all ranks' together."""
    by_rank = [json.loads((folder / f"seen-{rank}.json").read_text()) for rank in range(ranks)]
    return [[name for fed in step for bite in fed for name in bite] for step in zip(*by_rank, strict=True)]


@pytest.mark.parametrize("rows", ["mixed", "words"])
@pytest.mark.parametrize("way", ["bites", "ranks"])
class TestOneStep:
    def test_eats_the_same_rows(self, steps, rows, way):
        assert seen(steps / rows / way, 2 if way == "ranks" else 1) == seen(steps / rows / "whole", 1)

    def test_has_the_same_losses(self, steps, rows, way):
        one, whole = logged(steps / rows / way), logged(steps / rows / "whole")
        for name in ("loss", "lm", "mask_bce", "mask_dice", "box_l1", "box_giou", "grad_norm"):
            assert one[name] == pytest.approx(whole[name], abs=TOGETHER, rel=TOGETHER), name

    def test_has_the_same_gradients(self, steps, rows, way):
        whole = torch.load(steps / rows / "whole" / "gradients-0.pt")
        for rank in range(2 if way == "ranks" else 1):
            one = torch.load(steps / rows / way / f"gradients-{rank}.pt")
            assert set(one) == set(whole)
            for name, gradient in whole.items():
                torch.testing.assert_close(one[name], gradient, atol=TOGETHER, rtol=0)

    def test_leaves_the_same_weights(self, steps, rows, way):
        """AdamW divides a gradient by its size: where it is nothing but rounding, only its direction is left."""
        whole = torch.load(steps / rows / "whole" / "gradients-0.pt")
        gradients = {name.replace(".base_layer", ""): gradient for name, gradient in whole.items()}
        one, other = (load_file(steps / rows / name / "learned.safetensors") for name in (way, "whole"))
        for name, weight in other.items():
            pulled = gradients[name].abs() > TOGETHER if name in gradients else torch.ones_like(weight, dtype=bool)
            torch.testing.assert_close(one[name][pulled], weight[pulled], atol=TOGETHER, rtol=0)
