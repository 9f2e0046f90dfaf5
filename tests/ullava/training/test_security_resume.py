"""A run that goes on reads a checkpoint's pickles as plain state: one with a program in it ends with a message."""

import os
import shutil

import pytest
import torch
import yaml

from tests.older import without_sums
from ullava.commands.train import main
from ullava.configs.messages import run_command


class Trap:
    """A pickle of it makes the folder `path` when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module", autouse=True)
def own_cache(cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_CACHE", str(cache))
        yield


@pytest.fixture(scope="module")
def started(run_of, tmp_path_factory):
    """The tree of a run, and its folder after one step."""
    folder = tmp_path_factory.mktemp("started") / "run"
    tree = run_of(folder, ("talk",), {"save_every": 1})
    train(tree)
    return tree, folder


def train(tree: dict) -> None:
    path = f"{tree['output_dir']}.yaml"
    with open(path, "w") as file:
        yaml.safe_dump(tree, file)
    run_command(main, ["--cfg_path", path])


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "running_0_of_1.pth"])
def test_a_checkpoints_state_is_no_program(started, tmp_path, capsys, file):
    tree, folder = started
    shutil.copytree(folder, tmp_path / "run")
    checkpoint, sprung = tmp_path / "run" / "checkpoint-1", tmp_path / "sprung"
    assert (checkpoint / file).is_file()
    torch.save({"x": Trap(sprung)}, checkpoint / file)
    without_sums(checkpoint)
    with pytest.raises(SystemExit):
        train(tree | {"output_dir": str(tmp_path / "run"), "training": tree["training"] | {"max_steps": 2}})
    assert "error: " in (said := capsys.readouterr().err) and "checkpoint-1" in said and "Traceback" not in said
    assert not sprung.exists()
