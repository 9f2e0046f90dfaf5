"""What tests of several processes share: a toy mix of rows that differ, and a way to start processes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests import forks

ROOT = Path(__file__).parents[2]
RANK = Path(__file__).with_name("rank.py")
NAMES = ("red", "blue", "green", "white", "black", "grey", "brown", "pink")


def square(left: int, top: int, category: int) -> dict:
    """A COCO object of 12 x 9 pixels."""
    ring = [left, top, left + 12, top, left + 12, top + 9, left, top + 9]
    return {"category_id": category, "segmentation": [ring], "bbox": [left, top, 12, 9], "area": 108, "iscrowd": 0}


@pytest.fixture(scope="session")
def patchwork(tmp_path_factory) -> dict[str, dict]:
    """Catalogue entries: `talk` (words only), `captions` (pictures, no promise), `squares` (one to three promises)."""
    folder, rng = tmp_path_factory.mktemp("patchwork"), np.random.default_rng(7)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).save(folder / f"{name}.png")
    talk = [
        {"id": name, "conversations": [
            {"from": "human", "value": "What is here?"}, {"from": "gpt", "value": f"It is {name}. " * (1 + n % 3)},
        ]}
        for n, name in enumerate(NAMES)
    ]  # fmt: skip
    pictures = [{"id": n, "file_name": f"{name}.png", "height": 30, "width": 40} for n, name in enumerate(NAMES)]
    captions = [{"id": n, "image_id": n, "caption": f"A {name} picture." * (1 + n % 2)} for n, name in enumerate(NAMES)]
    places = ((2, 3), (20, 4), (8, 17))
    objects = [
        square(*places[k], k + 1) | {"id": 10 * n + k, "image_id": n}
        for n in range(len(NAMES))
        for k in range(1 + n % 3)
    ]
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(("square", "circle", "triangle"))]
    (folder / "talk.json").write_text(json.dumps(talk))
    (folder / "captions.json").write_text(json.dumps({"images": pictures, "annotations": captions}))
    (folder / "squares.json").write_text(
        json.dumps({"images": pictures, "annotations": objects, "categories": categories})
    )
    formats = {"talk": "llava_chat", "captions": "coco_captions", "squares": "coco_instances"}
    return {
        name: {"reader": reader, "annotations": str(folder / f"{name}.json"), "images": str(folder)}
        for name, reader in formats.items()
    }


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def run_of(recipe, patchwork) -> Callable:
    """Makes the tree of a stage II run with LoRA over the patchwork; keywords are its sections, `training` is added to.

    Heads, adapters and the vocabulary learn; `data` are names of the patchwork.
    """
    tasks = {"talk": {"task": "vqa"}, "captions": {"task": "captioning"}}
    tasks["squares"] = {"task": "semantic", "options": {"says": ["SEG", "LOC"], "rounds": 3}}

    def make(output: Path, data: Sequence[str] = ("talk", "captions", "squares"), training=None, **sections) -> dict:
        how = {
            "epochs": 1, "batch_size": 4, "precision": "fp32", "schedule": "constant", "warmup_ratio": 0, "workers": 0,
            "log_every": 1, "report_to": [], "max_grad_norm": 0, "max_steps": 1,
        } | (training or {})  # fmt: skip
        learn = {"lora": 1e-3, "embeddings": 1e-3, "lm_head": 1e-3, "projector": 1e-3, "mask_decoder": 1e-3}
        return {
            "output_dir": str(output), "model": recipe(lora={"rank": 2, "dropout": 0.0}).model_dump(mode="json"),
            "learn": learn | {"heads": 1e-3}, "data": [{"dataset": name} | tasks[name] for name in data],
            "datasets": patchwork, "training": how,
            "generation": {"max_new_tokens": 4, "batch_size": 2, "workers": 0},
        } | sections  # fmt: skip

    return make


@pytest.fixture(scope="session")
def seed_where(run_of, cache) -> Callable:
    """Finds the first seed under which the patchwork's rows come as wanted.

    What is wanted is asked of two lists of four row numbers for each step, one list a rank: 0 words, 1 captions,
    2 squares.
    """
    from ullava.configs.schema import RunConfig
    from ullava.tasks.mixture import Mixture
    from ullava.training.preflight import open_mixture

    def find(wanted: Callable[[list[list[list[int]]]], bool]) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ULLAVA_CACHE", str(cache))
            rows = open_mixture(RunConfig.model_validate(run_of(cache))).rows
        for seed in range(20000):
            mixture = Mixture(rows, seed)
            order = [mixture.row_of(0, k) for k in range(24)]
            if wanted([[order[k : k + 4], order[k + 4 : k + 8]] for k in range(0, 24, 8)]):
                return seed
        raise AssertionError("no such seed")

    return find


@pytest.fixture(scope="session")
def launch(tmp_path_factory, cache) -> Callable:
    """Runs stages in `count` processes, one after the other in each; see rank.py."""

    def start(stages: Sequence[dict], count: int = 1, timeout: float = 300) -> None:
        folder = tmp_path_factory.mktemp("launch")
        for n, stage in enumerate(stages):
            (folder / f"{n}.yaml").write_text(yaml.safe_dump(stage))
        shared = os.environ | {"OMP_NUM_THREADS": "1", "ULLAVA_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
        shared |= {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        outputs = [folder / f"out{rank}" for rank in range(count)]
        ranks = []
        for rank, output in enumerate(outputs):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}
            words = [RANK, *(folder / f"{n}.yaml" for n in range(len(stages)))]
            ranks.append(forks.start(words, output, ROOT, shared | own))
        for process in ranks:
            process.join(timeout)
            process.kill()
        assert [process.exitcode for process in ranks] == [0] * count, "\n".join(
            output.read_text()[-4000:] for output in outputs
        )

    return start


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def port() -> str:
    """A free one, for processes that a test starts itself."""
    return str(free_port())


@dataclass(frozen=True)
class End:
    """How the processes of a training command ended (exit status, or minus the signal), and what they said."""

    codes: tuple[int | None, ...]
    said: str

    @property
    def message(self) -> str:
        """The one message of a command that failed."""
        assert self.codes == (1,) and "Traceback" not in self.said, f"{self.codes}: {self.said}"
        return self.said.partition("error: ")[2].removesuffix("\n(--debug shows where)\n")


@pytest.fixture(scope="session")
def suffer(tmp_path_factory, cache) -> Callable:
    """Runs stages by the command that a user types, one after the other, and harms them on the way; see mortal.py."""

    def start(*jobs: tuple[dict, Sequence] | tuple[dict, Sequence, dict], timeout: float = 400) -> list[End]:
        folder, told = tmp_path_factory.mktemp("suffer"), []
        for n, (tree, harm, *more) in enumerate(jobs):
            (folder / f"{n}.yaml").write_text(yaml.safe_dump(tree))
            job = {"command": ["--cfg_path", str(folder / f"{n}.yaml")], "harm": harm, "output": tree["output_dir"]}
            job |= {"ranks": 1, "beside": None, "port": str(free_port()), "workers": tree["training"]["workers"]}
            told.append(job | (more[0] if more else {}))
        (folder / "jobs.json").write_text(json.dumps(told))
        own = {"OMP_NUM_THREADS": "1", "ULLAVA_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(RANK.with_name("mortal.py")), str(folder / "jobs.json")]
        done = subprocess.run(command, env=os.environ | own, cwd=ROOT, timeout=timeout, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        ended = json.loads((folder / "ended.json").read_text())
        return [End(tuple(end["codes"]), end["said"]) for end in ended]

    return start
