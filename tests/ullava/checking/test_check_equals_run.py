"""What `check` calls sound runs to its end, and what it refuses is refused by the run before its first step."""

import shutil
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings

from ullava.checking.check import check
from ullava.commands import train
from ullava.configs.messages import CURABLE, OURS
from ullava.datasets.tiny_world import draw_world
from ullava.evaluation import eval_ullava
from ullava.training.trainer import StageTrainer

pytestmark = pytest.mark.slow

DRAWN, LEAST_SOUND = 200, 50
yaml_trees = run_path(str(Path(__file__).with_name("yaml_trees.py")))["yaml_trees"]


@pytest.fixture(scope="module")
def bases(zoo, tmp_path_factory):
    """Sound trees by name: a first stage, a second one, one that goes on from a run, and the evaluation of that run."""
    data = tmp_path_factory.mktemp("data")
    patch = pytest.MonkeyPatch()
    patch.setenv("ULLAVA_DATA", str(data))
    patch.setenv("ULLAVA_CACHE", str(data / "cache"))
    for split in ("tiny_train", "tiny_val"):
        draw_world(data / "tiny_world", split, 4, workers=1)
    training = {"epochs": 1, "max_steps": 1, "batch_size": 1, "precision": "fp32", "warmup_ratio": 0, "workers": 0,
                "log_every": 1, "report_to": []}  # fmt: skip
    model = {"llm": str(zoo / "llm"), "vision": {"tower": str(zoo / "clip")}, "projector": "mlp2"}
    heads = {"mask": {"sam": str(zoo / "sam")}, "box": {"channels": 16}}
    common = {"output_dir": str(data / "run"), "generation": {"max_new_tokens": 2, "batch_size": 2},
              "training": training}  # fmt: skip
    res = {"dataset": "tiny_val", "task": "res", "limit": 1}
    first = common | {
        "model": model, "learn": {"projector": 1e-3}, "data": [{"dataset": "tiny_train", "task": "captioning"}],
        "evaluate": [{"dataset": "tiny_val", "task": "vqa", "limit": 1}],
    }  # fmt: skip
    second = common | {
        "model": model | {"heads": heads, "lora": {"rank": 2}}, "learn": {"lora": 1e-3, "heads": 1e-3},
        "data": [{"dataset": "tiny_train", "task": "res"}], "evaluate": [res],
    }  # fmt: skip
    parent = data / "parent"
    train_tree(second | {"output_dir": str(parent), "evaluate": []}, data / "parent.yaml")
    third = second | {"model": second["model"] | {"llm": str(parent)}}
    evaluation = {"output_dir": str(data / "scores"), "model": str(parent), "evaluate": [res],
                  "generation": common["generation"]}  # fmt: skip
    yield {"first": first, "second": second, "third": third, "evaluation": evaluation}
    patch.undo()


def train_tree(tree: dict[str, Any], path: Path) -> None:
    """Runs a tree in this process, as its command would."""
    path.write_text(yaml.safe_dump(tree))
    if isinstance(tree.get("model"), str) and "data" not in tree:
        eval_ullava.main(["--cfg_path", str(path)])
    else:
        train.main(["--cfg_path", str(path)])


def refusal(run: Callable[..., object], *arguments: object) -> str | None:
    """Why a command refuses; None where it ends well. Whatever a user cannot cure passes through."""
    try:
        run(*arguments)
    except CURABLE as error:
        if isinstance(error, OURS):
            raise
        return str(error) or type(error).__name__
    return None


def test_check_says_what_the_run_does(bases, zoo, tmp_path, monkeypatch):
    verdicts: Counter[bool] = Counter()
    disagreements: list[str] = []
    numbers, steps = count(), []
    original = StageTrainer.compute_loss
    monkeypatch.setattr(StageTrainer, "compute_loss", lambda *a, **k: steps.append(1) or original(*a, **k))

    @settings(
        max_examples=DRAWN, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(yaml_trees(bases, zoo))
    def agree(tree):
        path = tmp_path / f"{next(numbers)}.yaml"
        path.write_text(yaml.safe_dump(tree))
        fault = refusal(check, path)
        steps.clear()
        refused = refusal(train_tree, tree, path)
        for folder in ("run", "scores"):
            shutil.rmtree(Path(bases["first"]["output_dir"]).with_name(folder), ignore_errors=True)
        verdicts[fault is None] += 1
        if (fault is None) != (refused is None) or (refused and steps):
            after = f" after {len(steps)} steps" if steps else ""
            disagreements.append(f"check: {fault}\nrun{after}: {refused}\n{yaml.safe_dump(tree)}")

    agree()
    assert not disagreements, f"{len(disagreements)} disagreements\n" + "\n".join(disagreements)
    assert verdicts.total() >= DRAWN and verdicts[True] >= LEAST_SOUND and verdicts[False] >= LEAST_SOUND, verdicts
