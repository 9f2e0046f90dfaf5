"""Kills a training that keeps features, twenty times, and compares what it comes to with one that nobody touched.

    python benchmarks/kills.py [--kills 20] [--steps 240] [key=value ...]

The embedded world's second stage, with `cache_features`, pictures that come again (over several epochs), mask, box and
LoRA. Each life is ended by SIGKILL at a random moment after it began to train; the same command goes on. Every tensor
of the folder and every line of log.jsonl have to be the same bits. Figures: kills.md.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[1]
CLOCKS = ("train_runtime", "train_samples_per_second", "train_steps_per_second")


def start(folder: Path, output: Path, settings: list[str]) -> subprocess.Popen:
    """Begins the training, or goes on with it."""
    words = ["train_ullava_core.py", "--cfg_path", "configs/tiny/stage2_lora.yaml", f"output_dir={output}", *settings]
    environment = os.environ | {"ULLAVA_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1"}
    with (folder / "said.txt").open("a") as file:
        return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stdout=file, stderr=file)


def lines(folder: Path) -> list[dict]:
    """log.jsonl without what a clock says; nothing where it is not there."""
    path = folder / "log.jsonl"
    text = path.read_text() if path.is_file() else ""
    return [{k: v for k, v in json.loads(line).items() if k not in CLOCKS} for line in text.splitlines()]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All that the run learned."""
    return load_file(folder / "learned.safetensors") | load_file(folder / "adapter_model.safetensors")


def main() -> None:
    """Trains, kills, compares, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=240)
    options, more = parser.parse_known_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = ["-m", "ullava", "prepare", "tiny_world", "--scenes", "24", "--videos", "2"]
        environment = os.environ | {"ULLAVA_DATA": str(folder / "data")}
        subprocess.run([sys.executable, *world], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        settings = [
            "model.llm=models/zoo/tiny/llm", "model.vision.tower=models/zoo/tiny/clip", "training.cache_features=true",
            f"training.max_steps={options.steps}", "training.epochs=99", "training.save_every=4",
            "training.log_every=3", "training.workers=0", "training.report_to=[]", "evaluate=[]", "best=null", *more,
        ]  # fmt: skip
        assert start(folder, folder / "whole", settings).wait() == 0, (folder / "said.txt").read_text()[-3000:]
        killed, ended = [], False
        while not ended:
            before = len(lines(folder / "killed"))
            life = start(folder, folder / "killed", settings)
            while life.poll() is None and len(lines(folder / "killed")) <= before:
                time.sleep(0.05)
            if len(killed) < options.kills:
                time.sleep(chance.uniform(0, 2))
                life.kill()
            ended = life.wait() == 0
            if not ended and life.returncode != -9:
                raise SystemExit((folder / "said.txt").read_text()[-3000:])
            killed += [] if ended else [len(lines(folder / "killed"))]
        mine, theirs = tensors(folder / "killed"), tensors(folder / "whole")
        other = [key for key in theirs if not torch.equal(mine[key], theirs[key])]
        same_log = lines(folder / "killed") == lines(folder / "whole")
        print(f"{len(killed)} kills, at lines {killed} of {len(lines(folder / 'whole'))} of the log")
        print(f"{len(theirs)} tensors, {len(other)} of them other; log.jsonl {'the same' if same_log else 'another'}")
        raise SystemExit(bool(other) or not same_log)


if __name__ == "__main__":
    main()
