"""Trains a small network from nothing on the real samples, scores it on held-out pictures, and fits a few by heart.

    python benchmarks/real.py                  both stages, the evaluation and the fits
    python benchmarks/real.py --only eval      some of it, beside what earlier runs left

Each step is the command that a user types, in a process of its own; benchmarks/real.md says what they came to. The
samples lie under $ULLAVA_SHARED/realdata.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.load import load
from ullava.configs.messages import run_command
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.demo.demo import ROOT, Step, run
from ullava.evaluation.engine.predictions import Line, read_predictions
from ullava.evaluation.engine.results import Results, named_score, read_results, table
from ullava.evaluation.metrics.captions.caption_tokens import tokenize

REPORT = ROOT / "benchmarks" / "real.md"
STEPS = {
    "stage1": RunConfig, "stage2_lora": RunConfig, "eval": EvaluationConfig,
    "fit_regions": RunConfig, "fit_words": RunConfig,
}  # fmt: skip
NOTE = "step.json"
MINUTES = 25  # both stages together
FITS = {  # recipe -> score -> bar
    "fit_regions": {"objects/res/gIoU": 0.9, "objects/rec/acc@0.5": 0.9},
    "fit_words": {"questions/vqa/accuracy": 0.9, "pictures/captioning/CIDEr-D": 2.4},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is asked for, and writes the report once every step has run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), help="default: all")
    chosen = parser.parse_args(arguments)
    os.chdir(ROOT)  # the recipes name their foundations from here
    for name in chosen.only:
        measure(name)
    lacking = [name for name in STEPS if not (folder_of(name) / NOTE).is_file()]
    if lacking:
        print(f"\n{REPORT.name} waits for: {', '.join(lacking)}")
        return
    REPORT.write_text("\n".join(report()) + "\n", encoding="utf-8")
    print(f"\n{REPORT.read_text(encoding='utf-8')}")


def measure(name: str) -> None:
    """Runs one YAML from its beginning, and notes in its folder what that took."""
    path = f"configs/real/{name}.yaml"
    shutil.rmtree(folder_of(name), ignore_errors=True)
    script = "evaluation/eval_ullava.py" if name == "eval" else "train_ullava_core.py"
    step = run(["python", script, "--cfg_path", path])
    (folder_of(name) / NOTE).write_text(json.dumps(asdict(step)), encoding="utf-8")


def folder_of(name: str) -> Path:
    """Where a YAML's run lies."""
    return Path(load(f"configs/real/{name}.yaml", STEPS[name]).output_dir)


def report() -> Iterator[str]:
    """Yields the lines of the report."""
    steps = {name: Step(**json.loads((folder_of(name) / NOTE).read_text(encoding="utf-8"))) for name in STEPS}
    yield "# Real samples, from nothing\n"
    yield f"{datetime.date.today()}, {os.cpu_count()} CPU cores ({platform.machine()}), `python benchmarks/real.py`:\n"
    yield from (f"    {step.command}    # {step.seconds:.0f} s, {step.memory:.1f} GiB" for step in steps.values())
    yield "\n| what | bar | measured |\n|---|---|---|"
    minutes = (steps["stage1"].seconds + steps["stage2_lora"].seconds) / 60
    yield f"| both stages, minutes | {MINUTES} | {minutes:.1f} |"
    results = read_results(folder_of("eval") / "results.json")
    yield from held_out(results)
    for name in FITS:
        yield from by_heart(name, last_evaluation(folder_of(name)))
    yield "\nAll rows on held-out pictures, each with what is reached without looking (`_trivial`):\n"
    yield from (f"    {line}" for line in table(results).splitlines())


def held_out(results: Results) -> Iterator[str]:
    """Lines about pictures that were not trained on, beside what the same formulas give to a prior."""
    found, prior = (named_score(results, f"duts_sample_test{part}/salient/maxF") for part in ("", "_trivial"))
    yield f"| DUTS, maxF | mean mask {prior:.3f} + 0.05 = {prior + 0.05:.3f} | {found:.3f} |"
    for name in ("camvid_test", "camvid_val"):
        found, prior = (named_score(results, f"{name}{part}/semantic/mIoU") for part in ("", "_trivial"))
        yield f"| {name}, mIoU | where each class usually is: {prior:.3f} | {found:.3f} |"


def by_heart(recipe: str, folder: Path) -> Iterator[str]:
    """Lines about the pictures that were learned by heart."""
    results = read_results(folder / "results.json")
    counts = {f"{row['dataset']}/{row['task']}": row["count"] for row in results["rows"]}
    for name, bar in FITS[recipe].items():
        asked = counts[name.rpartition("/")[0]]
        yield f"| fit of 16 pictures, {name} ({asked} questions) | {bar} | {named_score(results, name):.3f} |"
    captions = [line for line in read_predictions(folder / "predictions.jsonl") if line["task"] == "captioning"]
    if captions:
        yield f"| ... captions equal to a reference | 0.9, or the line above | {equal_to_a_reference(captions):.3f} |"


def equal_to_a_reference(lines: Sequence[Line]) -> float:
    """Share of the captions that are, word for word, one that people wrote."""
    return sum(tokenize(line["answer"]) in map(tokenize, line["truth"]["text"]) for line in lines) / len(lines)


def last_evaluation(run_folder: Path) -> Path:
    """The folder of a run's last evaluation."""
    return max((run_folder / "evaluation").glob("step-*"), key=lambda path: int(path.name.partition("-")[2]))


if __name__ == "__main__":
    run_command(main)
