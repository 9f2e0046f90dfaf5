"""Scores files that some program wrote, without a model: `ullava score KIND --pred P --gt G [--out F]`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ullava import __version__
from ullava.evaluation import (  # noqa: F401, each registers its kinds
    score_boxes,
    score_masks,
    score_predictions,
    score_salient,
    score_semantic,
    score_texts,
)
from ullava.evaluation.marking import Mark
from ullava.evaluation.results import Results, Row, all_scores, write_results
from ullava.evaluation.rows import PROTOCOL, summary
from ullava.evaluation.score_kinds import KINDS, Kind, Suite, shown

SHOWN = 10  # names of missing predictions on the screen; the file holds all


def main(arguments: Sequence[str]) -> None:
    """Scores as the command line says; prints every score, and writes them where `--out` names a file."""
    options = parse(arguments)
    results = score(KINDS[options.kind](options))
    for row in results["rows"]:
        for words, names in (("missing, counted as empty", "missing"), ("without a truth, left out", "extra")):
            if row[names]:
                listed = shown(row[names], SHOWN)
                print(f"{row['dataset']}: {len(row[names])} predictions {words}: {listed}", file=sys.stderr)
    for note in results["run"].get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    print(all_scores(results))
    if options.out:
        write_results(results, options.out)
        print(f"wrote {options.out}")


def score(kind: Kind) -> Results:
    """What results.json holds, a row per suite; each row also lists what was missing, and what was too much."""
    rows = [score_suite(kind, suite) for suite in kind.suites()]
    given = {name: str(value) for name, value in vars(kind.options).items() if value not in (None, False)}
    run = {"command": "score", "ullava": __version__, **given}
    return {"rows": rows, "run": run | ({"notes": notes} if (notes := kind.notes()) else {})}


def score_suite(kind: Kind, suite: Suite) -> Row:
    """One row."""
    began = time.perf_counter()
    marks = [
        Mark(number, case.picture, kind.records(case, suite.metrics), None) for number, case in enumerate(suite.cases)
    ]
    head = {"dataset": suite.name, "task": kind.name, "answers": "given", "protocol": PROTOCOL, "boxes": None}
    head |= suite.head
    return summary(marks, suite.metrics, head, began) | {"missing": suite.missing, "extra": list(suite.extra)}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ullava score", description="Scores files without a model.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, kind in KINDS.items():
        words = " ".join(kind.__doc__.split())
        one = kinds.add_parser(name, help=words.partition(": ")[2], description=words)
        one.add_argument("--pred", "--submission_dir", type=Path, help="predictions: a file or a folder")
        one.add_argument("--gt", "--groundtruth_dir", type=Path, help="truths: a file or a folder")
        one.add_argument("--out", type=Path, help="write the scores there, as results.json has them")
        kind.add_arguments(one)
    options = parser.parse_args(list(arguments))
    if not getattr(options, "list", None):
        needed = ("pred", "gt") if KINDS[options.kind].needs_truth else ("pred",)
        lacking = [f"--{name}" for name in needed if not getattr(options, name)]
        if lacking:
            raise ValueError(f"ullava score {options.kind}: expected {' and '.join(lacking)}; see --help")
    return options
