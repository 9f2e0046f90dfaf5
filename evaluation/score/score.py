"""Scores files that some program wrote, without a model: `ullava score KIND --pred P --gt G [--out F]`."""

import argparse
import csv
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ullava import __version__
from ullava.configs.arguments import Parser
from ullava.evaluation.engine.predictions import replacing
from ullava.evaluation.engine.results import ResultRow, Results, all_scores, write_results
from ullava.evaluation.engine.rows import PROTOCOL, classes_of, summary
from ullava.evaluation.engine.scoring import ScoredQuestion
from ullava.evaluation.metrics.base import Record
from ullava.evaluation.score import boxes as score_boxes  # noqa: F401, each registers its kinds
from ullava.evaluation.score import masks as score_masks  # noqa: F401, each registers its kinds
from ullava.evaluation.score import predictions as score_predictions  # noqa: F401, each registers its kinds
from ullava.evaluation.score import salient as score_salient  # noqa: F401, each registers its kinds
from ullava.evaluation.score import semantic as score_semantic  # noqa: F401, each registers its kinds
from ullava.evaluation.score import texts as score_texts  # noqa: F401, each registers its kinds
from ullava.evaluation.score.kinds import FILE_KINDS, Kind, Suite, shown

Records = Mapping[str, tuple[Record, ...]]  # of one case, by metric
SHOWN = 10  # names of missing predictions on the screen; the file holds all


def main(arguments: Sequence[str]) -> None:
    """Scores as the command line says; prints every score, and writes them where `--out` names a file."""
    options = parse(arguments)
    results = score(FILE_KINDS[options.kind](options))
    for row in results["rows"]:
        for words, names in (("missing, counted as empty", "missing"), ("without a truth, left out", "extra")):
            if row[names]:
                listed = shown(row[names], SHOWN)
                print(f"{row['dataset']}: {len(row[names])} predictions {words}: {listed}", file=sys.stderr)
    for note in results["run"].get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    print(all_scores(results))
    for path in filter(None, (options.out, options.each)):
        print(f"wrote {path}")


def score(kind: Kind) -> Results:
    """Scores suites as results.json holds them, a row each, with missing predictions and those without a truth."""
    began, options = time.perf_counter(), kind.options
    suites, measured = kind.suites(), {}
    for suite in suites:
        for case in suite.cases:
            if id(case) not in measured:  # suites may share their cases
                measured[id(case)] = kind.records(case, suite.metrics)
    rows = [row_of(kind, suite, [measured[id(case)] for case in suite.cases], began) for suite in suites]
    given = {name: str(value) for name, value in vars(options).items() if value not in (None, False)}
    run = {"command": "score", "ullava": __version__, **given}
    results = {"rows": rows, "run": run | ({"notes": notes} if (notes := kind.notes()) else {})}
    if options.out:
        write_results(results, options.out)
    if options.each:
        write_each(suites, measured, options.each)
    return results


def row_of(kind: Kind, suite: Suite, measured: Sequence[Records], began: float) -> ResultRow:
    """One row, from the records of each of the suite's cases."""
    pairs = zip(suite.cases, measured, strict=True)
    scored = [ScoredQuestion(number, case.picture, records, None) for number, (case, records) in enumerate(pairs)]
    head = {"dataset": suite.name, "task": kind.name, "answers": "given", "protocol": PROTOCOL, "boxes": None}
    head |= suite.head
    row = summary(scored, suite.metrics, head, began) | classes_of(scored, suite.metrics)
    return row | {"missing": suite.missing, "extra": list(suite.extra)}


def write_each(suites: Sequence[Suite], measured: Mapping[int, Records], path: Path) -> None:
    """Writes a table (CSV) with the scores of every case by itself; what one case does not have stays empty."""
    names = {name: None for suite in suites for metric in suite.metrics for name in metric.score([])}
    with replacing(path) as file:
        table = csv.DictWriter(file, ["suite", "id", "missing", *names], lineterminator="\n")
        table.writeheader()
        for suite in suites:
            for case in suite.cases:
                scores = {"suite": suite.name, "id": case.id, "missing": int(case.prediction is None)}
                for metric in suite.metrics:
                    case_scores = metric.score(measured[id(case)][metric.name])
                    scores |= {name: value for name, value in case_scores.items() if value == value}
                table.writerow(scores)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line."""
    parser = Parser(prog="ullava score", description="Scores files without a model.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, kind in FILE_KINDS.items():
        words = " ".join(kind.__doc__.split())
        subparser = kinds.add_parser(name, help=words.partition(": ")[2], description=words)
        subparser.add_argument("--pred", "--submission_dir", type=Path, help="predictions: a file or a folder")
        subparser.add_argument("--gt", "--groundtruth_dir", type=Path, help="truths: a file or a folder")
        subparser.add_argument("--out", type=Path, help="write the scores there, as results.json has them")
        subparser.add_argument("--each", type=Path, help="write the scores of every single case there (CSV)")
        kind.add_arguments(subparser)
    options = parser.parse(arguments)
    if not getattr(options, "list", None):
        needed = ("pred", "gt") if FILE_KINDS[options.kind].needs_truth else ("pred",)
        lacking = [f"--{name}" for name in needed if not getattr(options, name)]
        if lacking:
            raise ValueError(f"ullava score {options.kind}: expected {' and '.join(lacking)}; see --help")
    return options
