"""`ullava compare RUN RUN ...`: holds several runs against each other, question by question."""

from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import Parser


def main(arguments: Sequence[str]) -> None:
    """Prints what each run scores and how surely it differs from the first; `--out` writes it down.

    Raises:
        FileNotFoundError: a run has no predictions.jsonl.
        ValueError: there is one run alone, or no row or question is in all of them.
    """
    parser = Parser(prog="ullava compare", description="Holds several runs against each other on the same questions.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="of an evaluation; the first is the base")
    parser.add_argument("--all", action="store_true", help="every score, not the best known ones only")
    parser.add_argument("--out", type=Path, help="write the table there, as JSON")
    options = parser.parse(arguments)
    if len(options.runs) < 2:
        raise ValueError(f"ullava compare: expected two runs or more, found {options.runs[0]} alone")
    from ullava.evaluation.engine.results import PRINTED, write_results
    from ullava.evaluation.score.compare import compare, table, to_json

    comparisons = compare(options.runs)
    shown = [comparison for comparison in comparisons if options.all or comparison.score in PRINTED]
    print(table(shown or comparisons, [str(run) for run in options.runs]))
    if options.out:
        write_results(to_json(comparisons, options.runs), options.out)
        print(f"wrote {options.out}")
