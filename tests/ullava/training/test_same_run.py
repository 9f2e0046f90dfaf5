"""A run is gone on with under what it was begun under; what changed is named, refused, or really takes effect."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch

from ullava.configs.load import ConfigError, build
from ullava.configs.schema import RunConfig
from ullava.training.preflight import open_mixture
from ullava.training.same_run import check_same, differences, facts_of
from ullava.training.train import train


@pytest.fixture(scope="module", autouse=True)
def own_cache(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def tree_of(run_of):
    def make(output, **training) -> dict:
        how = {"batch_size": 2, "schedule": "linear", "max_steps": 2} | training
        return copy.deepcopy(run_of(output, ("talk",), training=how))

    return make


def go(tree, **how) -> None:
    train(build(RunConfig, tree, "test"), **how)


@pytest.fixture(scope="module")
def whole(tree_of, tmp_path_factory):
    """A finished run of two steps, with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    go(tree_of(folder, save_every=1))
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def stopped(run):
    """A copy of the run as it stood after its first step."""
    shutil.rmtree(run / "checkpoint-2")
    for path in [*run.glob("*.safetensors"), run / "ullava.json"]:
        path.unlink()
    return run


def changed(tree: dict, key: str, value) -> dict:
    tree = copy.deepcopy(tree)
    *parents, last = key.split(".")
    place = tree
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
    place[last] = value
    return tree


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def stamps(folder) -> dict:
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*") if path.is_file() and path.name != ".lock"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("training.seed", 7, "training.seed: was 42, is 7"),
        ("training.max_length", 400, "training.max_length: was 512, is 400"),
        ("training.precision", "bf16", 'training.precision: was "fp32", is "bf16"'),
        ("training.betas", [0.9, 0.99], "training.betas.1: was 0.999, is 0.99"),
        ("training.accumulate", 2, "training.accumulate: was 1, is 2\nsamples a step: were 2, are 4"),
        ("losses.lm", 0.5, "losses.lm: was 1.0, is 0.5"),
        ("model.conversation", "plain", 'model.conversation: was "vicuna_v1", is "plain"'),
        ("model.lora.rank", 4, "model.lora.rank: was 2, is 4"),
        ("data.0.portion", 2.0, "data.0.portion: was 1.0, is 2.0"),
        ("best", "talk/vqa/accuracy", 'best: was null, is "talk/vqa/accuracy"'),
        ("learn.lora", 5e-4, "learn.lora: was 0.001, is 0.0005; --change-rates lets it change"),
        ("training.weight_decay", 0.1, "training.weight_decay: was 0.0, is 0.1; --change-rates lets it change"),
        ("learn.llm", 1e-4, "learn.llm: was nothing, is 0.0001\n"),
    ],
)
def test_what_changed_is_named_and_refused_and_nothing_is_written(whole, tree_of, key, value, line):
    before = stamps(whole)
    tree = changed(tree_of(whole, save_every=1), key, value)
    if key == "best":
        tree["evaluate"] = [{"dataset": "talk", "task": "vqa", "limit": 1}]
    with pytest.raises(ConfigError) as error:
        go(tree)
    assert str(error.value).startswith(line) or f"\n{line}" in str(error.value)
    assert "holds a run that was begun otherwise, up to checkpoint-2; put back" in str(error.value)
    assert stamps(whole) == before


def test_a_finished_run_says_so_and_stays_as_it_is(whole, tree_of, capsys):
    before = stamps(whole)
    go(tree_of(whole, save_every=1, log_every=5, workers=1))
    assert "finished at step 2; nothing is left to do" in capsys.readouterr().out
    assert stamps(whole) == before


def test_a_trained_model_without_a_checkpoint_is_not_written_over(run, tree_of):
    for path in run.glob("checkpoint-*"):
        shutil.rmtree(path)
    before = stamps(run)
    with pytest.raises(FileExistsError, match="holds a trained model and no checkpoint to go on from"):
        go(tree_of(run))
    assert stamps(run) == before


def test_a_longer_run_goes_on_and_keeps_what_was_said_before(run, tree_of, capsys):
    go(tree_of(run, save_every=2, max_steps=4))
    said = capsys.readouterr().out
    assert "going on from" in said and "training.max_steps: was 2, is 4 from here on" in said
    assert "max_steps: 2\n" in (run / "config-until-checkpoint-2.yaml").read_text()
    assert "max_steps: 4\n" in (run / "config.yaml").read_text()
    rates = [line["learning_rate/lora"] for line in log(run) if "loss" in line]
    # linear, without a rise: after step n of N the rate is (N - n) / N; two steps of 2, then the third and fourth of 4
    assert rates == pytest.approx([5e-4, 0, 2.5e-4, 0])
    assert not (run / "checkpoint-3").exists() and (run / "checkpoint-4").is_dir()


def test_a_changed_rate_really_takes_effect(stopped, tree_of):
    tree = changed(tree_of(stopped, save_every=1, max_steps=3, weight_decay=0.5), "learn.lora", 4e-4)
    tree["learn"]["heads"] = 0.0 + 2e-3
    go(tree, change_rates=True)
    lines = [line for line in log(stopped) if "loss" in line]
    # the rate that is logged is the one of the step to come: (3 - n) / 3 of the peak after step n
    assert [line["learning_rate/lora"] for line in lines[1:]] == pytest.approx([4e-4 / 3, 0])
    assert [line["learning_rate/heads"] for line in lines[1:]] == pytest.approx([2e-3 / 3, 0])
    groups = torch.load(stopped / "checkpoint-3" / "optimizer.pt", weights_only=True)["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.5}
    assert {group["name"]: group["initial_lr"] for group in groups}["lora"] == 4e-4


def test_the_first_step_after_a_change_is_taken_at_the_new_rate(stopped, tree_of):
    """At a rate of nearly nothing no weight moves."""
    from safetensors.torch import load_file

    before = load_file(stopped / "checkpoint-1" / "learned.safetensors")
    tree = tree_of(stopped, save_every=1)
    tree["learn"] = dict.fromkeys(tree["learn"], 1e-30)
    go(tree, change_rates=True)
    after = load_file(stopped / "checkpoint-2" / "learned.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_data_that_changed_under_its_name_is_refused(stopped, tree_of, patchwork, tmp_path):
    tree = tree_of(stopped, save_every=1)
    chats = json.loads(Path(patchwork["talk"]["annotations"]).read_text())
    chats[0]["conversations"][1]["value"] = "It is something else."
    (tmp_path / "other.json").write_text(json.dumps(chats))
    tree["datasets"]["talk"] = patchwork["talk"] | {"annotations": str(tmp_path / "other.json")}
    with pytest.raises(ConfigError, match=r"data\[0\]: its records changed: were 8 samples, \w{16}, are 8 samples, \w"):
        go(tree)
    shutil.copy(patchwork["talk"]["annotations"], tmp_path / "same.json")
    tree["datasets"]["talk"] = patchwork["talk"] | {"annotations": str(tmp_path / "same.json")}
    go(tree)  # the same records at another place


def facts(tree, ranks, deepspeed=None):
    config = build(RunConfig, tree, "test")
    return facts_of(config, open_mixture(config), ranks, deepspeed)


def test_processes_may_change_where_a_step_stays_what_it_was(stopped, tree_of):
    tree, checkpoint = tree_of(stopped, save_every=1), stopped / "checkpoint-1"
    with pytest.raises(ConfigError, match=r"samples a step: were 2, are 4 \(.* x 2 processes, which were 1\)"):
        check_same(facts(tree, 2), checkpoint)
    _, *notes = check_same(facts(changed(tree, "training.batch_size", 1), 2), checkpoint)
    assert notes == [
        "training.batch_size: was 2, is 1 from here on; as many samples a step, but other last bits",
        "2 processes, were 1: the same samples a step, but other last bits",
    ]


def test_another_library_is_said(stopped, tree_of):
    tree, path = tree_of(stopped, save_every=1), stopped / "checkpoint-1" / "run.json"
    before = json.loads(path.read_text())
    before["packages"]["torch"] = "1.0"
    path.write_text(json.dumps(before))
    *_, note = check_same(facts(tree, 1), stopped / "checkpoint-1")
    assert note.startswith("torch ") and note.endswith(", was 1.0: other last bits are possible")


def test_a_checkpoint_of_an_older_ullava_is_compared_by_its_card(stopped, tree_of):
    (stopped / "checkpoint-1" / "run.json").unlink()
    moved, *more = check_same(facts(tree_of(stopped, save_every=1), 1), stopped / "checkpoint-1")
    assert moved.startswith("output_dir: was ") and not more
    with pytest.raises(ConfigError, match="training.seed: was 42, is 1"):
        check_same(facts(tree_of(stopped, save_every=1, seed=1), 1), stopped / "checkpoint-1")


def test_differences_are_leaves_and_paths_to_one_place_are_none(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    old = {"x": {"y": [1, 2]}, "z": str(tmp_path / "a"), "w": [1]}
    new = {"x": {"y": [1, 3]}, "z": str(tmp_path / "b"), "w": [1, 2], "v": 0}
    assert list(differences(old, new)) == [("x.y.1", 2, 3), ("w", [1], [1, 2]), ("v", "nothing", 0)]
