"""The main job on the embedded world, from nothing to a page of results, by the very commands that a user types.

Each step is a process of its own: its command is printed before it runs, and its memory is free after it.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter

from ullava.datasets.catalogue import open_dataset
from ullava.evaluation.headlines import summary_table
from ullava.evaluation.report import write_report
from ullava.evaluation.results import read_results

ROOT = Path(__file__).parents[1]
TEST = "tiny_test"
STAGES = {"Stage I": "stage1", "Stage II with LoRA": "stage2_lora"}  # title -> folder under the output
QUICK_TRAIN = ("training.max_steps=2", "training.log_every=1")  # everything runs, nothing is learned
QUICK_WORLD = ("--scenes", "24", "--videos", "6")
QUICK_ANSWERS = ("generation.max_new_tokens=16",)  # a model that has learned nothing never comes to an end
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in the unit of a process's peak memory


@dataclass(frozen=True, slots=True)
class Step:
    """What one command took: seconds, and its peak memory in GiB."""

    command: str
    seconds: float
    memory: float

    def __str__(self) -> str:
        return f"{self.command}\n    # {self.seconds:.0f} s, {self.memory:.1f} GiB"


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains both stages on the embedded world, evaluates every task, and writes a page about it."""
    parser = argparse.ArgumentParser(prog="ullava demo", description=main.__doc__)
    parser.add_argument("--output", type=Path, help="default: runs/demo; with --boxes: runs/boxes")
    parser.add_argument("--boxes", action="store_true", help="four ways to a box, trained and scored side by side")
    parser.add_argument("--quick", action="store_true", help="two steps of each stage, a small world: does it run?")
    parser.add_argument(
        "--random_tower", action="store_true", help="contrast: a vision tower of random weights, frozen all the same"
    )
    options = parser.parse_args(arguments)
    output = options.output or Path("runs/boxes" if options.boxes else "runs/demo")
    os.chdir(ROOT)  # the recipes name their foundations from here
    begin_anew(output)
    if options.quick:
        os.environ["ULLAVA_DATA"] = str(output / "data")
    seen = ("model.from_scratch=[vision]",) if options.random_tower else ()
    job = import_module("ullava.demo_boxes" if options.boxes else __name__)
    steps = [run(command) for command in job.commands(output, quick=options.quick, seen=seen)]
    page, said = job.report(output, [str(step) for step in steps])
    print("\n" + "\n".join(f"{step.seconds:6.0f} s {step.memory:5.1f} GiB  {step.command}" for step in steps))
    print(f"{sum(step.seconds for step in steps):6.0f} s in all\n")
    print(said)
    print(f"\nopen {page}: scores, loss curves, and answers beside the truth")


def report(output: Path, steps: Sequence[str]) -> tuple[Path, str]:
    """Writes the page; returns its path and what it comes to."""
    logs = {title: output / folder for title, folder in STAGES.items()}
    page = write_report(
        output / "report.html", output / "results.json", output / "predictions.jsonl", logs, {}, commands=steps,
        title="u-LLaVA on the embedded world",
    )  # fmt: skip
    return page, summary_table(read_results(output / "results.json"))


def begin_anew(output: Path) -> None:
    """Removes what an earlier demo left, which training would otherwise go on from."""
    for name in (*STAGES.values(), "merged", "answers", "detector"):
        shutil.rmtree(output / name, ignore_errors=True)


def commands(output: Path, *, quick: bool, seen: Sequence[str] = ()) -> Iterator[list[str]]:
    """Yields each command when those before it have run."""
    stage1, stage2, merged = (str(output / name) for name in (*STAGES.values(), "merged"))
    short, world, answers = (QUICK_TRAIN, QUICK_WORLD, QUICK_ANSWERS) if quick else ((), (), ())
    train = ["python", "train_ullava_core.py", "--cfg_path"]
    yield ["python", "-m", "ullava", "prepare", "tiny_world", *world]
    yield [*train, "configs/tiny/stage1.yaml", f"output_dir={stage1}", *seen, *short]
    yield [*train, "configs/tiny/stage2_lora.yaml", f"model.llm={stage1}", f"output_dir={stage2}", *short]
    yield ["python", "-m", "ullava", "merge", stage2, merged]
    evaluate = ["python", "evaluation/eval_ullava.py", "--cfg_path", "configs/tiny/eval.yaml"]
    yield [*evaluate, f"model={merged}", f"output_dir={output}", *answers]
    ask = ["python", "evaluation/inference_ullava.py", "--llm_path", merged, "--result_dir", str(output / "answers")]
    yield [*ask, *questions()]


def questions() -> list[str]:
    """What to ask about the first picture of the test split: its first phrase, and its first written question."""
    referred, asked = open_dataset(TEST, "res")[0], open_dataset(TEST, "vqa")[0]
    phrase, question = referred.regions[0].phrases[0], asked.turns[0].question
    return ["--images", str(referred.media[0].path), "--task", "res", "--phrase", phrase, "--questions", question]


def run(command: list[str]) -> Step:
    """Runs a command to its end; its output goes where ours goes.

    Raises:
        ChildProcessError: it failed.
    """
    typed = shlex.join(command)
    print(f"\n$ {typed}", flush=True)
    began = perf_counter()
    process = subprocess.Popen([sys.executable if word == "python" else word for word in command])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ChildProcessError(f"exit status {process.returncode} of: {typed}; its own message stands above")
    return Step(typed, perf_counter() - began, usage.ru_maxrss * UNIT / 2**30)
