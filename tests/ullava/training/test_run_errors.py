"""What keeps a run from beginning or going on, and the rules by which it is judged."""

import json
import math
import os
import resource
import shutil

import pytest
import torch
from transformers.trainer_utils import get_last_checkpoint

from tests.older import without_sums
from ullava.configs.load import build
from ullava.configs.schema import RunConfig
from ullava.training import saving
from ullava.training.run_errors import LossWatch, RunError, fp16_warning, is_fault
from ullava.training.run_lock import run_lock
from ullava.training.train import train


@pytest.fixture(scope="module", autouse=True)
def own_cache(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def configure(run_of):
    def make(output, **training) -> RunConfig:
        return build(RunConfig, run_of(output, ("talk",), training={"batch_size": 2} | training), "test")

    return make


@pytest.fixture(scope="module")
def whole(configure, tmp_path_factory):
    """A run of two steps with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("whole")
    train(configure(folder, max_steps=2, save_every=1))
    return folder


@pytest.fixture
def run(whole, tmp_path):
    """A copy of that run, to be broken."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.mark.parametrize(
    "name", ["learned.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "ullava.json"]
)
def test_fault_of_a_file_that_was_cut(run, name):
    path = run / "checkpoint-2" / name
    size = path.stat().st_size
    os.truncate(path, size // 2)
    with pytest.raises(ValueError) as said:
        saving.last_checkpoint(run)
    assert str(said.value) == (
        f"{path}: expected {size:,} bytes, found {size // 2:,}; it was cut; with --skip-bad-checkpoint the same "
        "command puts it aside and goes on from checkpoint-1"
    )
    shutil.rmtree(run / "checkpoint-2")
    assert saving.last_checkpoint(run) == run / "checkpoint-1"


@pytest.mark.parametrize("name", ["files.json", "trainer_state.json"])
def test_fault_of_a_list_that_was_cut_or_lost(run, name):
    path = run / "checkpoint-2" / name
    os.truncate(path, 10)
    with pytest.raises(
        ValueError, match="broken JSON .*; with --skip-bad-checkpoint the same command puts it aside and goes on"
    ):
        saving.last_checkpoint(run)
    path.unlink()
    with pytest.raises(ValueError, match=f"checkpoint-2: holds no {name}; with --skip-bad"):
        saving.last_checkpoint(run)


def test_fault_of_a_file_of_the_right_size_with_something_else_in_it(run, configure):
    path = run / "checkpoint-2" / "optimizer.pt"
    path.write_bytes(bytes(path.stat().st_size))
    without_sums(path.parent)
    with pytest.raises(ValueError, match="checkpoint-2: cannot be gone on from .*goes on from checkpoint-1; or name"):
        train(configure(run, max_steps=3))


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json", "run.json", "tokenizer.json"]
)
def test_fault_of_a_flipped_bit_and_the_checkpoint_before(run, configure, capsys, caplog, name):
    path = run / "checkpoint-2" / name
    content = bytearray(path.read_bytes())
    place = content.index(b"9") if name.endswith(".json") else len(content) // 2
    content[place] ^= 1  # of a JSON a digit: it stays one
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"checkpoint-2/{name}: expected sha256 \w+, found \w+; it was changed"):
        train(configure(run, max_steps=3, save_every=1))
    train(configure(run, max_steps=3, save_every=1), skip_bad=True)
    assert "put aside as bad-checkpoint-2: " in caplog.text
    assert "going on from " in (said := capsys.readouterr().out) and "checkpoint-1" in said
    names = ["bad-checkpoint-2", "checkpoint-2", "checkpoint-3"]
    assert sorted(path.name for path in run.glob("*checkpoint-*[0-9]")) == names


def test_fault_of_a_pickle_in_place_of_a_state(run, configure):
    """Nothing in a checkpoint can run code."""

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(run / "trapped"),)

    for name in ("optimizer.pt", "rng_state.pth", "running_0_of_1.pth", "scheduler.pt"):
        kept = (run / "checkpoint-2" / name).read_bytes()
        torch.save(Trap(), run / "checkpoint-2" / name)
        without_sums(run / "checkpoint-2")
        with pytest.raises(ValueError, match="checkpoint-2: cannot be gone on from"):
            train(configure(run, max_steps=3))
        (run / "checkpoint-2" / name).write_bytes(kept)
    assert not (run / "trapped").exists()


def test_fault_of_a_partial_checkpoint_is_seen_by_nobody(run):
    (run / "checkpoint-2").rename(saving.aside(run / "checkpoint-2"))
    assert get_last_checkpoint(str(run)) == str(run / "checkpoint-1")
    assert saving.last_checkpoint(run) == run / "checkpoint-1"
    assert saving.sweep(run) == ["partial-checkpoint-2"] and not saving.aside(run / "checkpoint-2").exists()


def test_fault_of_a_disk_that_is_full_in_the_last_save(run, configure):
    """The weights are in the last checkpoint, and the same command brings them out."""
    (run / "learned.safetensors").unlink()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        with pytest.raises(OSError, match="weights could not be written .*goes on from checkpoint-2, which is whole"):
            train(configure(run, max_steps=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    train(configure(run, max_steps=2))
    written, kept = (folder / "learned.safetensors" for folder in (run, run / "checkpoint-2"))
    assert written.read_bytes() == kept.read_bytes()


def test_fault_of_a_folder_that_cannot_be_written(tmp_path, configure, monkeypatch):
    """Before anything is loaded."""
    monkeypatch.setattr("ullava.training.train.assemble", None)
    folder = tmp_path / "run"
    folder.mkdir(mode=0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)  # root may write everywhere
    try:
        with (
            pytest.raises(ValueError, match=f"output_dir: {folder} cannot be written .*; name a folder on a disk"),
            run_lock(folder),
        ):
            raise AssertionError("nobody may write there")
    finally:
        if root:
            os.seteuid(0)


def test_fault_of_a_score_that_is_not_measured(tmp_path, configure):
    asked = [{"dataset": "talk", "task": "vqa", "limit": 1}]
    config = configure(tmp_path).model_copy(update={"best": "talk/vqa/acuracy"})
    config = build(RunConfig, config.model_dump(mode="json") | {"evaluate": asked}, "test")
    with pytest.raises(ValueError, match="best: 'talk/vqa/acuracy' is not measured.*did you mean 'talk/vqa/accuracy'"):
        train(config)
    assert saving.last_checkpoint(tmp_path) is None  # no step was taken for it


def test_fault_of_a_number_stops_before_the_weights_change(tmp_path, configure, monkeypatch):
    from ullava.training.trainer import StageTrainer

    seen = {}

    class Watched(StageTrainer):
        def compute_loss(self, *given, **named):
            seen["weights"] = self.assembled.model.llm.lm_head.weight
            seen["before"] = seen["weights"].detach().clone()
            return super().compute_loss(*given, **named) * math.inf

    monkeypatch.setattr("ullava.training.train.StageTrainer", Watched)
    with pytest.raises(
        RunError, match="step 1: expected finite numbers, but the losses are finite, but their gradients"
    ):
        train(configure(tmp_path))
    assert torch.equal(seen["weights"], seen["before"])
    assert len(json.loads((tmp_path / "faults" / "step-1.json").read_text())["batches"][0]["ids"]) == 2


@pytest.mark.parametrize(
    ("norm", "loss_is_finite", "scaled", "expected"),
    [
        (1.0, True, False, False),
        (math.nan, False, False, True),
        (math.inf, True, False, True),
        (math.inf, True, True, False),  # the scaler skips the step and scales less from then on
        (math.nan, True, True, False),
        (math.nan, False, True, True),  # no scale makes a loss finite that is not
    ],
)
def test_fault_or_overflow(norm, loss_is_finite, scaled, expected):
    assert is_fault(norm, loss_is_finite=loss_is_finite, scaled=scaled) is expected


def test_fault_is_not_what_nobody_knows(tmp_path):
    LossWatch().judge(None, step=1, folder=tmp_path, scaled=False)
    LossWatch().judge(torch.tensor(math.inf), step=1, folder=tmp_path, scaled=True)
    with pytest.raises(RunError):
        LossWatch().judge(torch.tensor(math.inf), step=1, folder=tmp_path, scaled=False)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model_type": "llama", "max_position_embeddings": 4096, "torch_dtype": "float16"}, "a LLaMA-2"),
        ({"model_type": "qwen2", "max_position_embeddings": 32768, "dtype": "bfloat16"}, "saved in bfloat16"),
        ({"model_type": "qwen2", "dtype": torch.bfloat16}, "saved in bfloat16"),
        ({"model_type": "llama", "max_position_embeddings": 2048, "torch_dtype": "float16"}, None),  # Vicuna 1.1
    ],
)
def test_fault_that_fp16_brings(settings, reason):
    said = fp16_warning(settings)
    assert said is None if reason is None else reason in said and "take bf16" in said
