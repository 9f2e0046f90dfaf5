"""What the mask head takes off its states is measured over all ranks, so that two learn what one process learns."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.slow
STATISTICS = tuple(f"heads.mask.standardise.{name}" for name in ("mean", "variance", "seen"))


def test_two_ranks_standardise_as_one_process(run_of, recipe, seed_where, launch, tmp_path):
    # each rank's four rows hold other numbers of promises, none of them no promise
    seed = seed_where(lambda steps: 0 < steps[0][0].count(2) < steps[0][1].count(2))
    heads = recipe().heads
    heads = heads | {"mask": heads["mask"] | {"standardise": True}}

    def stage(name: str, size: int) -> dict:
        tree = run_of(tmp_path / name, training={"batch_size": size, "seed": seed})
        tree["model"] = recipe(lora={"rank": 2, "dropout": 0.0}, heads=heads).model_dump(mode="json")
        return tree

    launch([stage("whole", 8)])
    launch([stage("ranks", 4)], 2)
    one, both = (load_file(tmp_path / name / "learned.safetensors") for name in ("whole", "ranks"))
    for name in STATISTICS:
        assert both[name].tolist() == pytest.approx(one[name].tolist(), abs=1e-5, rel=1e-5), name
    assert float(one[STATISTICS[-1]]) == 1  # one batch was seen
    whole, ranks = (logged(tmp_path / name) for name in ("whole", "ranks"))
    for term in ("loss", "lm", "mask_bce", "mask_dice", "grad_norm"):
        assert ranks[term] == pytest.approx(whole[term], abs=1e-5, rel=1e-5), term


def logged(folder: Path) -> dict:
    return json.loads((folder / "log.jsonl").read_text().splitlines()[0])
