"""Runs that meet a fault in the middle: one message says what it was and how to go on, and nothing saved is lost."""

import json

import pytest

from ullava.configs.messages import run_command
from ullava.training.saving import checkpoints, verify

STEP, MODEL, REST = "ullava.training.trainer:StageTrainer.compute_loss", "ullava.models.ullava:Ullava.forward", "rest"


@pytest.fixture(scope="module")
def configure(run_of):
    """Configures a stage of six steps, a checkpoint after each second one and a line of the log after each."""

    def make(output, **training) -> dict:
        return run_of(
            output, training={"max_steps": 6, "save_every": 2, "batch_size": 2, "max_grad_norm": 1.0} | training
        )

    return make


@pytest.fixture(scope="module")
def fates(suffer, configure, tmp_path_factory):
    """Every fault in a run of its own: name -> (folder, how it ended, how the same command ended then)."""
    folder = tmp_path_factory.mktemp("fates")
    harms = {
        "number": [[MODEL, 4, "no_number"]], "memory": [[MODEL, 4, "no_memory"]], "room": [[STEP, 3, "no_room"]],
        "log": [[STEP, 3, "no_log"]], "worker": [[STEP, 4, "no_worker"]],
    }  # fmt: skip
    trees = {name: configure(folder / name, workers=int(name == "worker")) for name in harms}
    shared = configure(folder / "shared")
    jobs = [job for name, harm in harms.items() for job in ((trees[name], harm), (trees[name], []))]
    beside = {"beside": str(folder / "shared" / "checkpoint-2")}
    ends = suffer(*jobs, (shared, [[STEP, 3, REST]], beside), (shared, []), (shared, []))
    pairs = [*zip(ends[:-3:2], ends[1:-3:2], strict=True), ends[-2:]]
    return {name: (folder / name, *pair) for name, pair in zip((*harms, "shared"), pairs, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "messages"),
    [
        ("number", ("step 4: expected finite numbers, but the loss term lm is not", "ullava check --replay")),
        ("memory", ("out of memory at a batch of 2 rows, the longest of ", " pictures, ", " masks (CUDA out of memory.",
                    "lower training.batch_size (2) and raise training.accumulate (1)", "training.max_length (512)",
                    "training.gradient_checkpointing=true")),
        ("room", ("weights could not be written", "make room", "goes on from checkpoint-2, which is whole")),
        ("log", ("log.jsonl: cannot be written (No space left on device); make room on the disk",)),
        ("worker", ("a data worker has died (DataLoader worker (pid", "killed", "lower training.workers (1)")),
        ("shared", ("shared is in use by process ", "; wait for it, stop it, or name another folder")),
    ],
)  # fmt: skip
def test_fault_in_a_run_is_one_message_and_the_same_command_goes_on(fates, fate, messages):
    folder, end, again = fates[fate]
    assert all(words in end.message for words in messages), end.message
    assert again.codes == (0,), again.said
    assert [path.name for path in checkpoints(folder)] == ["checkpoint-4", "checkpoint-6"]
    for path in checkpoints(folder):
        verify(path)
    assert not list(folder.glob("partial-*"))


@pytest.mark.slow
def test_fault_or_not_the_end_is_the_same(fates):
    """Whatever the six runs met at their third or fourth step, they go on to the same weights and the same log."""
    ends = {
        name: [
            (folder / file).read_bytes() for file in ("learned.safetensors", "adapter_model.safetensors", "log.jsonl")
        ]
        for name, (folder, *_) in fates.items()
    }
    assert [name for name in ends if ends[name] != ends["shared"]] == []


@pytest.mark.slow
def test_fault_of_a_number_can_be_replayed(fates, capsys):
    from ullava.__main__ import dispatch

    folder, end, _ = fates["number"]
    file = folder / "faults" / "step-4.json"
    (batch,) = json.loads(file.read_text())["batches"]
    assert len(batch["ids"]) == 2 and all(name in end.message for name in batch["ids"])
    run_command(dispatch, ["check", "--replay", str(file)])
    said = capsys.readouterr().out
    assert f"weights of {folder / 'checkpoint-6'}" in said
    for name, (epoch, position) in zip(batch["ids"], batch["places"], strict=True):
        assert f"\n{name}  (rank 0, epoch {epoch}, position {position})" in said
    assert said.count("  losses    lm ") == 2 and "nan" not in said.partition("\n")[2]
    with pytest.raises(SystemExit):
        run_command(dispatch, ["check", "--replay", str(folder / "log.jsonl")])
    assert "expected RUN/faults/step-N.json" in capsys.readouterr().err
