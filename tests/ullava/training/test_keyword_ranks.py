"""Two ranks hear keywords as one process does, and a rank without any waits for nobody."""

import json
import pickle
from pathlib import Path

import pytest

from ullava.configs.schema import RunConfig
from ullava.training.distributed import HERE
from ullava.training.preflight import open_mixture

pytestmark = pytest.mark.slow
TERMS = ("loss", "lm", "mask_bce", "mask_dice", "keyword_alignment", "grad_norm")


@pytest.fixture(scope="module")
def referred(patchwork, tmp_path_factory):
    """The patchwork's objects as REFER's, two of three with a keyword."""
    folder = tmp_path_factory.mktemp("referred")
    squares = patchwork["squares"]
    tree = json.loads(Path(squares["annotations"]).read_text())
    words = ("red circle", "square", None)
    refs = [
        {"ref_id": n, "ann_id": thing["id"], "image_id": thing["image_id"], "split": "train",
         "sentences": [{"sent": "the red circle", "keyword": words[thing["category_id"] - 1]}]}
        for n, thing in enumerate(tree["annotations"])
    ]  # fmt: skip
    (folder / "refs(own).p").write_bytes(pickle.dumps(refs, protocol=2))
    paths = {"refs": str(folder / "refs(own).p"), "instances": squares["annotations"], "images": squares["images"]}
    return {"reader": "refer", "keywords": True, **paths}


@pytest.fixture(scope="module")
def stage(run_of, recipe, patchwork, referred, cache):
    """Makes a run over words and keywords, and finds a seed under which rank 1 first gets words only."""

    def make(folder, seed, alignment, size=4, **training):
        tree = run_of(folder, ("talk",), {"batch_size": size, "seed": seed} | training)
        tree["datasets"] = patchwork | {"referred": referred}
        tree["data"].append({"dataset": "referred", "task": "keyword"})
        heads = recipe().heads
        heads = heads | {"mask": heads["mask"] | {"fusion": {"alignment": alignment}}}
        tree["model"] = recipe(lora={"rank": 2, "dropout": 0.0}, heads=heads).model_dump(mode="json")
        return tree

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_CACHE", str(cache))
        rows = open_mixture(RunConfig.model_validate(make(cache, 0, "first_token")))
        for seed in range(2000):
            order = [type(rows)(rows.rows, seed).row_of(0, k) for k in range(8)]
            if set(order[4:]) == {0} and 1 in order[:4]:
                return lambda folder, alignment, **how: make(folder, seed, alignment, **how)
    raise AssertionError("no such seed")


def logged(folder) -> dict:
    return json.loads((folder / "log.jsonl").read_text().splitlines()[0])


def test_two_ranks_learn_what_one_process_learns(stage, launch, tmp_path):
    launch([stage(tmp_path / "whole", "first_token", size=8)])
    launch([stage(tmp_path / "ranks", "first_token")], 2)
    whole, ranks = logged(tmp_path / "whole"), logged(tmp_path / "ranks")
    assert whole["keyword_alignment"] > 1
    for name in TERMS:
        assert ranks[name] == pytest.approx(whole[name], abs=1e-5, rel=1e-5), name


def test_weights_in_pieces_come_together_on_a_rank_without_keywords(stage, launch, tmp_path):
    pytest.importorskip("deepspeed")
    told = json.loads((HERE / "zero3.json").read_text())
    told["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    (tmp_path / "zero3.json").write_text(json.dumps(told))
    how = {"deepspeed": str(tmp_path / "zero3.json"), "max_steps": 2}
    launch([stage(tmp_path / kind, kind, **how) for kind in ("first_token", "mean_infonce")], 2)
    launch([stage(tmp_path / "whole", "first_token", size=8)])
    pieces, whole = logged(tmp_path / "first_token"), logged(tmp_path / "whole")
    for name in TERMS:
        assert pieces[name] == pytest.approx(whole[name], abs=1e-4, rel=1e-4), name
    assert logged(tmp_path / "mean_infonce")["keyword_alignment"] > 1
