"""Scores a trained model on the rows of a YAML.

python evaluation/eval_ullava.py configs/eval/eval_res.yaml [key=value ...] [--model RUN]
torchrun --nproc_per_node 8 evaluation/eval_ullava.py ...
"""

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava import __version__
from ullava.configs.arguments import Parser, add_precision, add_yaml, precision_of, yaml_of
from ullava.configs.load import load
from ullava.configs.messages import located, run_command
from ullava.configs.schema import EvaluationConfig

if TYPE_CHECKING:  # numpy and all
    from ullava.evaluation.engine.results import Results

RES = "eval/eval_res"


def main(arguments: Sequence[str], default: str = RES) -> None:
    """Evaluates as the YAML and the arguments say; writes results.json and predictions.jsonl to its output_dir.

    Args:
        default: the YAML where the arguments name none.

    Raises:
        ConfigError: the YAML or an override does not fit the schema.
        FileNotFoundError, LookupError, ValueError: a row or the model cannot be opened; says the row.
    """
    options = parse(arguments, default)
    path, overrides = yaml_of(options, default)
    dtype = precision_of(options)
    overrides += [f"generation.precision={dtype}"] if dtype else []
    config = load(path, EvaluationConfig, overrides, plugins=True)
    with located(str(path)):
        config = narrowed(config, options.only)
        results = score(config, path, allow_mismatch=options.allow_mismatch)
    from ullava.evaluation.engine import ranks
    from ullava.evaluation.engine.results import table

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
    rows = tuple(row for row in config.evaluate if any(fnmatchcase(row.dataset, pattern) for pattern in patterns))
    if not rows:
        names = ", ".join(dict.fromkeys(row.dataset for row in config.evaluate))
        raise LookupError(f"--only {only}: no row of `evaluate` is of such a dataset; there are: {names}")
    return config.model_copy(update={"evaluate": rows})


def score(config: EvaluationConfig, source: Path, *, allow_mismatch: bool = False) -> "Results":
    """Evaluates every row of `config`, read from `source`; every rank returns the same.

    Raises:
        FileNotFoundError, LookupError, ValueError: a row or the model cannot be opened.
    """
    from ullava.evaluation.engine import ranks
    from ullava.evaluation.engine.progress import identify
    from ullava.evaluation.evaluator import evaluate, open_rows  # torch and all: only once the YAML is known to be good
    from ullava.models.answering import open_answerer
    from ullava.models.folders.hub import local_folder
    from ullava.models.folders.manifest import open_card
    from ullava.models.processor_from_config import processor_from_folder

    ranks.join()
    config = config.model_copy(update={"model": local_folder(config.model, "model")})
    card = open_card(config.model)  # where there is none, `open_answerer` says so
    fit = processor_from_folder(config.model).fit if card else None
    open_rows(config.evaluate, config.datasets, config.generation, card.config.heads if card else None, fit)
    run: dict[str, Any] = {"model": config.model, "config": str(source), "ullava": __version__}
    run["generation"] = config.generation.model_dump()
    answerer = open_answerer(config.model, config.generation, allow_mismatch=allow_mismatch)
    return evaluate(
        config.evaluate, answerer, own=config.datasets, output=Path(config.output_dir), run=run,
        identity=identify(config.model, run),
    )  # fmt: skip


def write_page(output: Path, config: EvaluationConfig, trained: Sequence[str]) -> None:
    """Writes report.html, with the loss curves of the trainings given."""
    from ullava.evaluation.report.report import write_report

    write_report(
        output / "report.html", output / "results.json", output / "predictions.jsonl",
        {run: Path(run) for run in trained}, config.datasets,
        title=f"u-LLaVA: {Path(config.model).name}, {output.name}",
    )  # fmt: skip


def parse(arguments: Sequence[str], default: str) -> argparse.Namespace:
    """The command line; `default` is the YAML where it names none."""
    parser = Parser(description="Scores a trained model on the rows of a YAML.")
    add_yaml(parser, "an evaluation", "model=runs/mine evaluate.0.limit=100", default=default)
    parser.add_argument("--only", metavar="DATASETS", help="rows of these, e.g. 'refcoco_*,refcocog_val'")
    parser.add_argument("--log_dir", help="also write the table to LOG_DIR/<model>.log")
    parser.add_argument("--train_run", nargs="+", default=[], help="trainings whose loss curves report.html shows")
    add_precision(parser)
    return parser.parse(arguments)


if __name__ == "__main__":
    run_command(main)
