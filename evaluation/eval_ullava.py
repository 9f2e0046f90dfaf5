"""Scores a trained model on the rows of a YAML.

python evaluation/eval_ullava.py --cfg_path configs/eval/eval_res.yaml [key=value ...]
torchrun --nproc_per_node 8 evaluation/eval_ullava.py ...
"""

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava import __version__
from ullava.configs.load import CONFIGS, load
from ullava.configs.messages import located, run_command
from ullava.configs.schema import EvaluationConfig
from ullava.evaluation.ask.precision import add_precision, precision_of
from ullava.evaluation.engine import ranks
from ullava.evaluation.engine.results import Results, table

RES = CONFIGS / "eval" / "eval_res.yaml"


def main(arguments: Sequence[str], default: Path = RES) -> None:
    """Evaluates as the YAML and the arguments say; writes results.json and predictions.jsonl to its output_dir."""
    options = parse(arguments, default)
    dtype = precision_of(options)
    overrides = [*options.overrides, *([f"generation.precision={dtype}"] if dtype else [])]
    config = load(options.cfg_path, EvaluationConfig, overrides, plugins=True)
    with located(str(options.cfg_path)):
        config = narrowed(config, options.only)
        results = score(config, options.cfg_path, allow_mismatch=options.allow_mismatch)
    output = Path(config.output_dir)
    if ranks.place()[0] == 0:
        write_page(output, config, options.train_run)
        print(table(results), f"\nwrote {output / 'results.json'}, {output / 'predictions.jsonl'}", sep="\n")
        if options.log_dir:
            log = Path(options.log_dir, f"{Path(config.model).name}.log")
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(table(results) + "\n", encoding="utf-8")


def narrowed(config: EvaluationConfig, only: str | None) -> EvaluationConfig:
    """The configuration with those rows alone whose dataset fits one of the patterns, comma between; None takes all.

    Raises:
        LookupError: no row fits.
    """
    patterns = only.split(",") if only else ["*"]
    rows = tuple(row for row in config.evaluate if any(fnmatchcase(row.dataset, one) for one in patterns))
    if not rows:
        names = ", ".join(dict.fromkeys(row.dataset for row in config.evaluate))
        raise LookupError(f"--only {only}: no row of `evaluate` is of such a dataset; there are: {names}")
    return config.model_copy(update={"evaluate": rows})


def score(config: EvaluationConfig, source: Path, *, allow_mismatch: bool = False) -> Results:
    """Evaluates every row of `config`, read from `source`."""
    from ullava.evaluation.engine.progress import identify
    from ullava.evaluation.evaluator import evaluate, open_rows  # torch and all: only once the YAML is known to be good
    from ullava.models.answering import open_answerer
    from ullava.models.folders.manifest import open_card
    from ullava.models.processor_from_config import processor_from_folder

    ranks.join()
    card = open_card(config.model)  # where there is none, `open_answerer` says so
    fit = processor_from_folder(config.model).fit if card else None
    open_rows(config.evaluate, config.datasets, config.generation, card.config.heads if card else None, fit)
    run = {"model": config.model, "config": str(source), "ullava": __version__}
    run["generation"] = config.generation.model_dump()
    answerer = open_answerer(config.model, config.generation, allow_mismatch=allow_mismatch)
    return evaluate(
        config.evaluate, answerer, own=config.datasets, output=Path(config.output_dir), run=run,
        identity=identify(config.model, run),
    )  # fmt: skip


def write_page(output: Path, config: EvaluationConfig, trained: Sequence[str]) -> None:
    """Writes report.html, with the loss curves of the trainings given."""
    from ullava.evaluation.report.report import write_report

    files = (output / name for name in ("report.html", "results.json", "predictions.jsonl"))
    title = f"u-LLaVA: {Path(config.model).name}, {output.name}"
    write_report(*files, {run: Path(run) for run in trained}, config.datasets, title=title)


def parse(arguments: Sequence[str], default: Path) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Scores a trained model on the rows of a YAML.")
    parser.add_argument("--cfg_path", type=Path, default=default, help="default: %(default)s")
    parser.add_argument("--only", metavar="DATASETS", help="rows of these, e.g. 'refcoco_*,refcocog_val'")
    parser.add_argument("--log_dir", help="also write the table to LOG_DIR/<model>.log")
    parser.add_argument("--train_run", nargs="+", default=[], help="trainings whose loss curves report.html shows")
    add_precision(parser)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. model=runs/mine evaluate.0.limit=100")
    return parser.parse_intermixed_args(list(arguments))


if __name__ == "__main__":
    run_command(main)
