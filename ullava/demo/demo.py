"""The main job on the embedded world, from nothing to a page of results, by the very commands that a user types.

Each step is a process of its own: its command is printed before it runs, and its memory is free after it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter

from ullava.datasets.catalogue import open_dataset
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.report.main_scores import summary_table
from ullava.evaluation.report.report import write_report

ROOT = Path(__file__).parents[2]
TEST = "tiny_test"
STAGES = {"Stage I": "stage1", "Stage II with LoRA": "stage2_lora"}  # title -> folder under the output
FOLDERS = (*STAGES.values(), "merged", "answers")  # what it makes
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


def demonstrate(
    name: str,
    output: Path | None = None,
    *,
    quick: bool = False,
    resume: bool = False,
    random_tower: bool = False,
) -> None:
    """Runs a whole job, command by command, and writes a page about it.

    Args:
        name: "demo", "boxes" or "family": the module beside this one that lists its commands.
        output: the folder to write; None: runs/NAME.
        quick: two steps of each stage on a small world.
        resume: go on where a demo was stopped, instead of anew.
        random_tower: contrast: a vision tower of random weights, frozen all the same.

    Raises:
        ChildProcessError: a command failed.
        FileNotFoundError: this is no checkout, whose scripts a demo types.
    """
    if not (ROOT / "train_ullava_core.py").is_file():
        raise FileNotFoundError(
            f"{ROOT}: holds no train_ullava_core.py; a demo types the scripts of a checkout, so clone the repository "
            "and run it there (an installed package trains by `ullava train tiny/stage1`)"
        )
    job = import_module(f"ullava.demo.{name}")
    output = output or Path("runs", name)
    os.chdir(ROOT)  # the recipes name their foundations from here
    if not resume:
        begin_anew(output, job.FOLDERS)
    if quick:
        os.environ["ULLAVA_DATA"] = str(output / "data")
    overrides = ("model.from_scratch=[vision]",) if random_tower else ()
    began = perf_counter()
    steps = [step for typed in job.commands(output, quick=quick, seen=overrides) for step in carry_out(typed)]
    seconds = perf_counter() - began
    page, scores = job.report(output, [str(step) for step in steps])
    print("\n" + "\n".join(f"{step.seconds:6.0f} s {step.memory:5.1f} GiB  {step.command}" for step in steps))
    print(f"{seconds:6.0f} s in all\n")
    print(scores)
    print(f"\nopen {page}: scores, loss curves, and answers beside the truth")


def report(output: Path, steps: Sequence[str]) -> tuple[Path, str]:
    """Writes the page; returns its path and what it comes to."""
    logs = {title: output / folder for title, folder in STAGES.items()}
    page = write_report(
        output / "report.html", output / "results.json", output / "predictions.jsonl", logs, {}, commands=steps,
        title="u-LLaVA on the embedded world",
    )  # fmt: skip
    return page, summary_table(read_results(output / "results.json"))


def begin_anew(output: Path, folders: Sequence[str]) -> None:
    """Removes what an earlier demo left, which training would otherwise go on from."""
    for name in folders:
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


@dataclass(frozen=True, slots=True)
class Job:
    """A command that shares the cores with others.

    Attributes:
        command: what is typed.
        log: takes its output.
        after: the logs of those that it needs.
    """

    command: list[str]
    log: Path
    after: tuple[Path, ...] = ()


class Together(list[Job]):
    """Commands that run as soon as a core is free and what they need has ended; what needs another stands after it."""


def carry_out(typed: list[str] | Together) -> list[Step]:
    """Runs a command, or several at once; after a failure, those that have begun end, and no other begins."""
    if not isinstance(typed, Together):
        return [run(typed)]
    cores = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    lanes = min(cores, len(typed))
    share = os.environ | {"OMP_NUM_THREADS": str(cores // lanes)}
    ends: dict[Path, Future[Step]] = {}

    def begin(job: Job) -> Step:
        for needed in job.after:
            ends[needed].result()
        for end in list(ends.values()):
            if end.done():
                end.result()  # raises what another failed with
        return run(job.command, log=job.log, environment=share)

    with ThreadPoolExecutor(lanes) as pool:
        for job in typed:
            ends[job.log] = pool.submit(begin, job)
    return [end.result() for end in ends.values()]


def run(command: list[str], *, log: Path | None = None, environment: Mapping[str, str] | None = None) -> Step:
    """Runs a command to its end.

    Args:
        log: takes its output; None: it goes where ours goes.
        environment: None: ours.

    Raises:
        ChildProcessError: it failed.
    """
    typed = shlex.join(command)
    print(f"\n$ {typed}" + (f" > {log}" if log else ""), flush=True)
    began = perf_counter()
    words = [sys.executable if word == "python" else word for word in command]
    if log is None:
        process = subprocess.Popen(words, env=environment)
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as file:
            process = subprocess.Popen(words, env=environment, stdout=file, stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        reason = f"{log} ends with\n{tail(log)}" if log else "its own message stands above"
        raise ChildProcessError(f"exit status {process.returncode} of: {typed}; {reason}")
    return Step(typed, perf_counter() - began, usage.ru_maxrss * UNIT / 2**30)


def tail(log: Path) -> str:
    """The last lines of a command's output, without the bars that it drew over."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line.rpartition("\r")[2] for line in lines[-12:])
