"""Towers that learn under DDP, and everything in pieces under FSDP: two ranks learn what one process learns."""

import json

import pytest
import torch
from safetensors.torch import load_file

from ullava.models.assembly import reopen

pytestmark = pytest.mark.slow
TERMS = ("loss", "lm", "mask_bce", "mask_dice", "box_l1", "box_giou", "grad_norm")


@pytest.fixture(scope="module")
def runs(run_of, recipe, launch, seed_where, tmp_path_factory):
    """Folders of `towers` and `fsdp`, each by one process (`alone`) and by two (`ranks`), and FSDP's `bf16`."""
    folder = tmp_path_factory.mktemp("spread")
    seed = seed_where(lambda steps: set(steps[0][1]) == {0} and 2 in steps[0][0] and 2 in steps[1][1])
    two = {"max_steps": 2, "save_every": 1, "max_grad_norm": 0.5, "seed": seed}
    towers = {"learn": {"projector": 1e-3, "heads": 1e-3, "vision": 1e-3, "sam_encoder": 1e-3}}
    towers |= {"model": recipe().model_dump(mode="json")}
    rows = [{"dataset": "squares", "task": "semantic", "limit": 3}, {"dataset": "talk", "task": "vqa", "limit": 1}]
    alone = {"batch_size": 8}
    launch(
        [
            run_of(folder / "towers" / "alone", training=two | alone, **towers),
            run_of(folder / "fsdp" / "alone", training=two | alone),
        ]
    )
    shared = {"fsdp": True}
    launch(
        [
            run_of(folder / "towers" / "ranks", training=two, **towers),
            run_of(folder / "fsdp" / "ranks", training=two | shared | {"max_steps": 1}),
            run_of(folder / "fsdp" / "ranks", training=two | shared, evaluate=rows),
            run_of(folder / "fsdp" / "bf16", training=two | shared | {"precision": "bf16", "accumulate": 2}),
        ],
        2,
    )
    return folder


def steps(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize("kind", ["towers", "fsdp"])
def test_two_ranks_learn_what_one_process_learns(runs, kind):
    for mine, yours in zip(steps(runs / kind / "ranks"), steps(runs / kind / "alone"), strict=True):
        expected = {name: yours[name] for name in TERMS}
        assert {name: mine[name] for name in TERMS} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["towers", "fsdp"])
def test_one_process_opens_what_two_ranks_leave(runs, kind):
    opened, expected = (dict(reopen(runs / kind / name).model.named_weights()) for name in ("ranks", "alone"))
    assert set(opened) == set(expected)
    for name, weight in opened.items():  # AdamW: two steps of 1e-3, in a direction that rounding may turn
        torch.testing.assert_close(weight, expected[name], atol=4e-3, rtol=0)


def test_fsdp_asks_each_question_once(runs):
    (scored,) = (runs / "fsdp" / "ranks" / "evaluation").iterdir()
    lines = [json.loads(line) for line in (scored / "predictions.jsonl").read_text().splitlines()]
    assert len({(line["id"], line["question"]) for line in lines}) == len(lines) > 3


def test_fsdp_computes_boxes_and_learns_in_float32(runs):
    for rank in range(2):
        facts = json.loads((runs / "fsdp" / "bf16" / f"facts-{rank}.json").read_text())
        assert facts == {"box": ["torch.float32"], "cut towers": [], "learns": ["torch.float32"]}
    saved = load_file(runs / "fsdp" / "bf16" / "learned.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.float32}
