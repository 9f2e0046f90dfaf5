"""What a checkpoint costs, and how long a run takes that goes on from one.

    python benchmarks/resume.py                            tiny and 100m; prints the page
    python benchmarks/resume.py --sizes tiny --output benchmarks/resume.md

Stage II with LoRA, as configs/train has it, on foundations with random weights. A first process takes a few steps and
saves in between; a second one goes on from what it left. Both are real processes, so that imports count.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

STEPS, SAVED = 4, 2  # steps of the first process, and after which it saves (and again at its end)
PARTS = ("imports", "network", "checkpoint read", "first step")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures every size, and prints or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["tiny", "100m"], help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="the page; default: printed")
    parser.add_argument("--run", nargs=2, metavar=("SIZE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.run:
        print(json.dumps(live(options.run[0], Path(options.run[1]), options.steps)))
        return
    found = {size: measure(size) for size in options.sizes}
    page = write(found, shown(arguments))
    if options.output:
        options.output.write_text(page)
    print(page)


def shown(arguments: Sequence[str] | None) -> str:
    """The command, as typed."""
    return " ".join(["python benchmarks/resume.py", *(sys.argv[1:] if arguments is None else arguments)])


def measure(size: str) -> dict[str, Any]:
    """What two processes of a run found, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        first = start(size, folder, STEPS)
        checkpoint = Path(folder, "run", f"checkpoint-{STEPS}")
        files = {path.name: path.stat().st_size for path in sorted(checkpoint.iterdir())}
        second = start(size, folder, STEPS + 2)
    return {"first": first, "second": second, "files": files}


def start(size: str, folder: str, steps: int) -> dict[str, Any]:
    """One process of a run; its last line is what it found."""
    command = [sys.executable, __file__, "--run", size, folder, "--steps", str(steps)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(said.splitlines()[-1])
    marks = [0, *(found["marks"][part] for part in PARTS)]
    return found | {"parts": {part: b - a for part, a, b in zip(PARTS, marks, marks[1:], strict=False)}}


def live(name: str, folder: Path, steps: int) -> dict[str, Any]:
    """Trains, or goes on, and notes the time of what happens."""
    from transformers import TrainerCallback

    from benchmarks.ledger import machine, this_device
    from benchmarks.sizes import SIZES, Size, recipe, samples
    from ullava.models.tiny import tiny_clip, tiny_llm, tiny_sam
    from ullava.tasks.base import TASKS
    from ullava.tasks.mixture import Mixture, MixtureEntry
    from ullava.training import saving
    from ullava.training.train import learn, prepare_trainer

    def hundred_million():
        return tiny_llm(32000, width=768, layers=8).config, tiny_clip().config, tiny_sam().config

    marks, saves, ends = {"imports": time.process_time()}, [], []
    size = SIZES.get(name) or Size(hundred_million, (96, 128), SIZES["tiny"].settings)
    how = [f"output_dir={folder / 'run'}", "training.batch_size=2", f"training.max_steps={steps}", "training.workers=0"]
    how += [f"training.save_every={SAVED}", "training.report_to=[]", "training.deepspeed=null", "training.accumulate=1"]
    config = recipe(size, 2, folder, [*how, "training.epochs=9", "data=[{dataset: drawn, task: res}]", "evaluate=[]"])
    mixture = Mixture([MixtureEntry(samples(size, folder), TASKS.build("res", {"says": ["SEG", "LOC"]}))])
    (folder / "run").mkdir(exist_ok=True)
    last = saving.last_checkpoint(folder / "run")
    trainer = prepare_trainer(config, mixture, {})
    marks["network"] = time.process_time()

    class Marks(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            marks["checkpoint read"] = time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.setdefault("first step", time.process_time())
            ends.append(time.process_time())

    def timed(*given: Any) -> None:
        began = time.time(), time.process_time()
        write_checkpoint(*given)
        saves.append((time.time() - began[0], time.process_time() - began[1]))
        ends.append(None)  # the step after is not one that nothing interrupts

    write_checkpoint, trainer._save_checkpoint = trainer._save_checkpoint, timed
    trainer.add_callback(Marks())
    learn(trainer, config, last)
    pairs = zip(ends, ends[1:], strict=False)
    lengths = [b - a for a, b in pairs if a is not None and b is not None]
    learns = sum(p.numel() for p in trainer.assembled.model.parameters() if p.requires_grad)
    return {
        "marks": marks,
        "saves": saves,
        "step": median(lengths or [0]),
        "learns": learns,
        "on": machine(this_device()),
    }


def write(found: dict[str, dict[str, Any]], command: str) -> str:
    """The page."""
    from benchmarks.ledger import table

    rows = []
    for size, runs in found.items():
        mib, seconds = (
            sum(runs["files"].values()) / 2**20,
            [median(each) for each in zip(*runs["first"]["saves"], strict=True)],
        )
        rows.append((size, f"{runs['first']['learns']:,}", mib, *seconds, runs["first"]["step"]))
    head = ("size", "learns", "MiB", "s to write", "CPU s to write", "CPU s a step")
    starts = [
        (size, process, *(runs[key]["parts"][part] for part in PARTS), sum(runs[key]["parts"].values()))
        for size, runs in found.items()
        for process, key in (("begins", "first"), ("goes on", "second"))
    ]
    files = [
        (size, name, count / 2**20)
        for size, runs in found.items()
        for name, count in runs["files"].items()
        if count > 2**20
    ]
    device = next(iter(found.values()))["first"]["on"]
    return f"""# What a checkpoint costs, and going on from one

{date.today()}, {device}:

    {command}

## A checkpoint

{table(head, rows)}

Writing counts everything: weights, optimizer, scheduler, what is drawn, the log's sums, the sizes of all files, and
waiting until every byte is on the disk (fsync) before the folder gets its name. The machine had {os.cpu_count()} cores
and a load of {os.getloadavg()[0]:.1f}: where that is more, seconds by the clock are too many. CPU seconds are the
process's own.

Files above 1 MiB:

{table(("size", "file", "MiB"), files)}

What learns is kept as float32 (4 bytes) and Adam keeps two more numbers of it (8 bytes); frozen foundations are not in
a checkpoint, only their hashes. So a checkpoint takes 12 bytes a number that learns, whatever the size of the model.

## From the command to the first step that is done, in CPU seconds

{table(("size", "process", *PARTS, "all"), starts)}

A process that goes on does what one does that begins, and reads one checkpoint; data are not read again: the sampler
begins at the place where the killed process stood.
"""


if __name__ == "__main__":
    main()
