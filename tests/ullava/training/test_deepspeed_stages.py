"""DeepSpeed on two ranks: the same training as one process does, in pieces; saved, gone on with, opened, evaluated."""

import json

import pytest
import torch
from safetensors.torch import load_file

from ullava.configs.schema import RunConfig
from ullava.models.assembly import assemble, reopen
from ullava.training.distributed import HERE

pytest.importorskip("deepspeed")
pytestmark = pytest.mark.slow
KINDS = ("zero2", "zero2_offload", "zero3")
TERMS = ("loss", "lm", "mask_bce", "mask_dice", "box_l1", "box_giou", "grad_norm")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory) -> dict[str, str]:
    """What `training.deepspeed` says.

    Of ZeRO-3 a copy for which no weight of the toy is too small to be cut; of the offload one that steps by torch's
    AdamW, since DeepSpeed's own is compiled first, for minutes on two cores.
    """
    folder = tmp_path_factory.mktemp("settings")
    settings = {kind: json.loads((HERE / f"{kind}.json").read_text()) for kind in KINDS}
    settings["zero3"]["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    settings["zero2_offload"]["zero_force_ds_cpu_optimizer"] = False
    for kind, setting in settings.items():
        (folder / f"{kind}.json").write_text(json.dumps(setting))
    return {kind: str(folder / f"{kind}.json") for kind in KINDS}


@pytest.fixture(scope="module")
def seed(seed_where) -> int:
    """First a rank with words only; then one with captions and no promise, beside one with promises."""

    def wanted(steps):
        first, second = steps[:2]
        return set(first[1]) == {0} and 2 in first[0] and {1} <= set(second[0]) <= {0, 1} and 2 in second[1]

    return seed_where(wanted)


@pytest.fixture(scope="module")
def runs(run_of, launch, kinds, seed, tmp_path_factory):
    """Folders: `alone` by one process; of each kind `two` steps, stopped after one, and `bf16`; `unstopped`."""
    folder = tmp_path_factory.mktemp("deepspeed")
    two = {"max_steps": 2, "save_every": 1, "max_grad_norm": 0.5, "seed": seed}
    rows = [{"dataset": "squares", "task": "semantic", "limit": 3}, {"dataset": "talk", "task": "vqa", "limit": 1}]
    launch([run_of(folder / "alone", training=two | {"batch_size": 8})])
    for kind, said in kinds.items():
        how = two | {"deepspeed": said}
        stages = [
            run_of(folder / kind / "two", training=how | {"max_steps": 1}),
            run_of(folder / kind / "two", training=how, evaluate=rows),
            run_of(
                folder / kind / "bf16", training=how | {"precision": "bf16", "accumulate": 2, "max_steps": 1},
                new_embeddings_only=True,
            ),
        ]  # fmt: skip
        launch(stages + [run_of(folder / kind / "unstopped", training=how)] * (kind == "zero3"), 2)
    return folder


def steps(folder) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def learned(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / "learned.safetensors") | load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("kind", KINDS)
class TestEachKind:
    def test_learns_what_one_process_learns(self, runs, kind):
        """Its second step too, for which it went on from a checkpoint."""
        for mine, yours in zip(steps(runs / kind / "two"), steps(runs / "alone"), strict=True):
            expected = {name: yours[name] for name in TERMS}
            assert {name: mine[name] for name in TERMS} == pytest.approx(expected, rel=1e-4)

    def test_leaves_a_folder_that_one_process_opens(self, runs, kind, run_of):
        opened = dict(reopen(runs / kind / "two").model.named_weights())
        expected = dict(reopen(runs / "alone").model.named_weights())
        started = dict(assemble(RunConfig.model_validate(run_of(runs)).model, seed=42).model.named_weights())
        assert set(opened) == set(expected)
        for name, weight in opened.items():  # AdamW: two steps of 1e-3, in a direction that rounding may turn
            torch.testing.assert_close(weight, expected[name], atol=4e-3, rtol=0)
        moved = [name for name, weight in opened.items() if not torch.equal(weight, started[name])]
        assert {"llm.lm_head.weight", "heads.box.regress.0.weight", "projector.0.weight"} <= set(moved)

    def test_saves_nothing_that_is_frozen(self, runs, kind):
        files = list((runs / kind / "two" / "checkpoint-2" / "global_step2").glob("*model_states.pt"))
        held = {name for file in files for name in torch.load(file, weights_only=False)["module"]}
        assert files
        assert not [name for name in held if "vision" in name or "encoder" in name or ".q_proj.base_layer" in name]

    def test_asks_each_question_once(self, runs, kind):
        (scored,) = (runs / kind / "two" / "evaluation").iterdir()
        lines = [json.loads(line) for line in (scored / "predictions.jsonl").read_text().splitlines()]
        assert [line["dataset"] for line in lines].count("talk") == 1
        assert len({(line["id"], line["question"]) for line in lines}) == len(lines) > 3

    def test_computes_boxes_and_learns_in_float32(self, runs, kind):
        for rank in range(2):
            facts = json.loads((runs / kind / "bf16" / f"facts-{rank}.json").read_text())
            assert facts == {"box": ["torch.float32"], "cut towers": [], "learns": ["torch.float32"]}
        assert {weight.dtype for weight in learned(runs / kind / "bf16").values()} == {torch.float32}


def test_a_run_that_was_stopped_is_the_same_to_the_last_bit(runs):
    one, other = learned(runs / "zero3" / "two"), learned(runs / "zero3" / "unstopped")
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_old_rows_of_the_embeddings_stay(runs, run_of):
    before = assemble(RunConfig.model_validate(run_of(runs)).model, seed=42)
    old = [row for row in range(before.model.llm.vocab_size) if row not in before.new_rows]
    name = "llm.model.embed_tokens.weight"
    for kind in KINDS:
        after = learned(runs / kind / "bf16")[name]
        assert torch.equal(after[old], before.model.get_parameter(name)[old])
