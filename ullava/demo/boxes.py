"""Four ways to a box on the embedded world: trains what is missing, scores all, and says which is best by how much.

It goes on from the demo's second stage where that is there; else it trains a shorter one of its own.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ullava.demo.demo import QUICK_ANSWERS, QUICK_TRAIN, QUICK_WORLD
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.report.box_source_comparison import comparison_table, verdict
from ullava.evaluation.report.report import write_report
from ullava.models.folders.manifest import CARD

DEMO = Path("runs/demo/stage2_lora")  # relative to the root, where a demo works
SHORTER = "training.max_steps=800"  # of 1,100: the whole fits into fifteen minutes
STAGES = {"Stage I": "stage1", "Stage II with LoRA": "stage2_lora", "Detector": "detector"}
FOLDERS = tuple(STAGES.values())


def commands(output: Path, *, quick: bool, seen: Sequence[str] = ()) -> Iterator[list[str]]:
    """Yields each command when those before it have run.

    Args:
        seen: overrides of a stage I, which is then trained here, whatever the demo has left.
    """
    stage1, stage2, detector = (str(output / name) for name in STAGES.values())
    short, world, answers = (QUICK_TRAIN, QUICK_WORLD, QUICK_ANSWERS) if quick else ((), (), ())
    train = ["python", "train_ullava_core.py", "--cfg_path"]
    yield ["python", "-m", "ullava", "prepare", "tiny_world", *world]
    if not quick and not seen and (DEMO / CARD).is_file():
        stage2 = str(DEMO)
    else:
        yield [*train, "configs/tiny/stage1.yaml", f"output_dir={stage1}", *seen, *short]
        second = [*train, "configs/tiny/stage2_lora.yaml", f"model.llm={stage1}", f"output_dir={stage2}"]
        yield [*second, *(short or [SHORTER])]
    yield [*train, "configs/tiny/boxes.yaml", f"model.llm={stage2}", f"output_dir={detector}", *short]
    evaluate = ["python", "evaluation/eval_ullava_grounding.py", "--cfg_path", "configs/tiny/boxes_eval.yaml"]
    yield [*evaluate, f"model={detector}", f"output_dir={output}", *answers]


def report(output: Path, steps: Sequence[str]) -> tuple[Path, str]:
    """Writes the page; returns its path and what it comes to."""
    results = read_results(output / "results.json")
    logs = {title: output / folder for title, folder in STAGES.items() if (output / folder / "log.jsonl").is_file()}
    page = write_report(
        output / "report.html", output / "results.json", output / "predictions.jsonl", logs, {}, commands=steps,
        title="Four ways to a box",
    )  # fmt: skip
    return page, f"{comparison_table(results)}\n\n{verdict(results)}"
