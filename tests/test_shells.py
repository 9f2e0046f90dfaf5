"""The shells, run in an empty root whose python and torchrun only say what they were called with."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/usr/bin/env bash
case "$1 $2" in
  "-c import"*) echo "${FAKE_GPUS:-1}" ;;
  "-m pip") echo "python $*" >>installed.txt ;;
  *) echo "python $*" ;;
esac
"""


@pytest.fixture
def root(tmp_path):
    shutil.copytree(ROOT / "shells", tmp_path / "shells")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(PYTHON)
    for name in ("torchrun", "deepspeed"):
        (programs / name).write_text(f'#!/usr/bin/env bash\necho "{name} $*"\n')
    (programs / "srun").write_text('#!/usr/bin/env bash\nshift\nexec "$@"\n')
    (programs / "scontrol").write_text('#!/usr/bin/env bash\nprintf "n1\\nn2\\n"\n')
    for program in programs.iterdir():
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return tmp_path


OURS = ("extras", "NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "PROCESSES", "HOSTFILE", "TORCH_INDEX_URL")


def run(root: Path, shell: str, *arguments: str, at: Path | None = None, **variables: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key not in OURS}
    kept["PATH"] = f"{root / '.venv' / 'bin'}:{kept['PATH']}"
    command = [root / "shells" / shell, *arguments]
    where = at or root.parent
    done = subprocess.run(command, env=kept | variables, cwd=where, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_environment_is_made_once_for_each_project_file(root):
    for _ in range(2):
        run(root, "test.sh")
    lines = (root / "installed.txt").read_text().splitlines()
    assert lines == [
        "python -m pip install --quiet torch>=2.6,<2.14",
        "python -m pip install --quiet --editable .[dev]",
    ]
    with (root / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    run(root, "test.sh")
    assert len((root / "installed.txt").read_text().splitlines()) == 4


def test_only_torch_comes_from_its_own_index(root):
    run(root, "test.sh", TORCH_INDEX_URL="https://example.org/cpu")
    first, second = (root / "installed.txt").read_text().splitlines()
    assert first == "python -m pip install --quiet --index-url https://example.org/cpu torch>=2.6,<2.14"
    assert "index-url" not in second


def test_arguments_are_passed_on_whole(root):
    typed = "python -m pytest -q -n logical --dist loadfile --no-loadscope-reorder -m not slow"
    assert run(root, "test.sh", "-m", "not slow") == typed
    assert run(root, "demo.sh", "--quick") == "python -m ullava demo --quick"


def test_one_device_needs_no_launcher(root):
    assert run(root, "pretrain.sh") == "python train_ullava_core.py --cfg_path configs/train/ullava_core_stage1.yaml"
    said = run(root, "finetune_lora.sh", "model.lora.rank=4")
    assert said == "python train_ullava_core.py --cfg_path configs/train/ullava_stage2_lora.yaml model.lora.rank=4"


def test_another_yaml_takes_the_place_of_the_default(root):
    said = run(root, "evaluate.sh", "--cfg_path", "mine.yaml")
    assert said == "python evaluation/eval_ullava.py --cfg_path mine.yaml"
    assert run(root, "evaluate.sh", "mine.yaml", "a=1") == "python evaluation/eval_ullava.py mine.yaml a=1"
    said = run(root, "evaluate.sh", "--only", "a")
    assert said == "python evaluation/eval_ullava.py --cfg_path configs/eval/eval_res.yaml --only a"


def test_all_local_gpus(root):
    said = run(root, "finetune.sh", FAKE_GPUS="8")
    expected = (
        "torchrun --standalone --nproc_per_node 8 train_ullava_core.py --cfg_path configs/train/ullava_stage2.yaml"
    )
    assert said == expected


def test_a_hostfile_is_deepspeeds(root):
    said = run(root, "finetune_lora.sh", "training.epochs=1", HOSTFILE="hosts")
    expected = "deepspeed --hostfile hosts --no_local_rank train_ullava_core.py --cfg_path"
    assert said == f"{expected} configs/train/ullava_stage2_lora.yaml training.epochs=1"


def test_slurm_gives_each_node_its_rank(root):
    job = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "40007", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NODEID": "1"}
    said = run(root, "slurm.sh", "shells/finetune.sh", "training.epochs=1", at=root, FAKE_GPUS="8", **job)
    assert said == (
        "torchrun --nnodes 2 --node_rank 1 --master_addr n1 --master_port 20007 --nproc_per_node 8 "
        "train_ullava_core.py --cfg_path configs/train/ullava_stage2.yaml training.epochs=1"
    )


def test_several_nodes(root):
    nodes = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1"}
    said = run(root, "finetune.sh", FAKE_GPUS="1", **nodes)
    assert said.startswith(
        "torchrun --nnodes 2 --node_rank 1 --master_addr 10.0.0.1 --master_port 29500 --nproc_per_node 1 "
    )
    with pytest.raises(subprocess.CalledProcessError) as stop:
        run(root, "finetune.sh", NNODES="2")
    assert "NODE_RANK" in stop.value.stderr
