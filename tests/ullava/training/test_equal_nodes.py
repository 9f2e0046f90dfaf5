"""The commands on several processes: two nodes by torchrun, a hostfile by DeepSpeed, and an evaluation on two ranks."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import forks

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
TRAIN = "train_ullava_core.py"
TERMS = ("loss", "lm", "mask_bce", "mask_dice", "box_l1", "box_giou", "grad_norm")


@pytest.fixture(scope="module")
def environment(cache) -> dict[str, str]:
    """The variables of a process that nobody has given a place among many."""
    kept = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    ours = {"OMP_NUM_THREADS": "1", "ULLAVA_CACHE": str(cache), "GLOO_SOCKET_IFNAME": "lo"}
    return kept | ours | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}


@pytest.fixture(scope="module")
def start(environment):
    """Starts a launcher in the root."""

    def begin(*command: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    return begin


@pytest.fixture(scope="module")
def alone(run_of, launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    launch([run_of(folder, training={"batch_size": 8})])
    return folder


def together(*started: subprocess.Popen) -> None:
    """Waits for processes that need each other."""
    try:
        said = [process.communicate(timeout=420)[0] for process in started]
    finally:
        for process in started:
            if process.poll() is None:  # with the ranks that it has started
                os.killpg(process.pid, signal.SIGKILL)
    assert [process.returncode for process in started] == [0] * len(started), "\n".join(text[-4000:] for text in said)


def written(tree: dict, path: Path) -> str:
    path.write_text(yaml.safe_dump(tree))
    return str(path)


def first(folder: Path) -> dict:
    line = json.loads((folder / "log.jsonl").read_text().splitlines()[0])
    return {name: line[name] for name in TERMS}


def test_two_nodes_take_the_step_of_one(start, run_of, alone, tmp_path, port):
    """The second node finds the first by its address, as `shells/environment.sh: launch` tells it to."""
    recipe = written(run_of(tmp_path / "run"), tmp_path / "run.yaml")
    node = ("-m", "torch.distributed.run", "--nnodes", "2", "--master_addr", "127.0.0.2", "--master_port", port)
    ranks = [start(*node, "--node_rank", n, "--nproc_per_node", "1", TRAIN, "--cfg_path", recipe) for n in "01"]
    together(*ranks)
    assert first(tmp_path / "run") == pytest.approx(first(alone), rel=1e-4)


def test_two_nodes_of_a_hostfile_take_the_step_of_one(start, run_of, alone, tmp_path, port):
    """What DeepSpeed starts on each node of a hostfile by ssh, started here; the slots of each say how many ranks."""
    pytest.importorskip("deepspeed")
    recipe = written(run_of(tmp_path / "run"), tmp_path / "run.yaml")
    nodes = base64.urlsafe_b64encode(json.dumps({"127.0.0.1": [0], "127.0.0.2": [0]}).encode()).decode()
    way = ("-m", "deepspeed.launcher.launch", f"--world_info={nodes}", f"--master_port={port}", "--no_local_rank")
    together(*(start(*way, f"--node_rank={n}", TRAIN, "--cfg_path", recipe) for n in range(2)))
    assert first(tmp_path / "run") == pytest.approx(first(alone), rel=1e-4)


def test_two_ranks_ask_what_one_asks(environment, alone, patchwork, tmp_path, port):
    """An odd number of questions, so that one rank has more."""
    rows = [{"dataset": "squares", "task": "semantic", "limit": 3}, {"dataset": "talk", "task": "vqa", "limit": 2}]
    found = {}
    for count in (1, 2):
        tree = {"output_dir": str(tmp_path / str(count)), "model": str(alone), "evaluate": rows, "datasets": patchwork}
        tree["generation"] = {"max_new_tokens": 4, "batch_size": 2, "workers": 0}
        script = ("evaluation/eval_ullava.py", "--cfg_path", written(tree, tmp_path / f"{count}.yaml"))
        shared = environment | {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        outputs = [tmp_path / f"{count}-{n}.txt" for n in range(count)]
        places = [shared | {"RANK": str(n), "LOCAL_RANK": str(n)} for n in range(count)]
        ranks = [forks.start(script, output, ROOT, place) for output, place in zip(outputs, places, strict=True)]
        for process in ranks:
            process.join(300)
        assert [process.exitcode for process in ranks] == [0] * count, [path.read_text()[-4000:] for path in outputs]
        found[count] = [json.loads(line) for line in (tmp_path / str(count) / "predictions.jsonl").open()]
    for name in ("id", "question", "answer"):
        assert [line[name] for line in found[1]] == [line[name] for line in found[2]]
    assert len(found[1]) % 2 == 1
