"""`ullava report FOLDER [--train RUN ...]`: writes the page of an evaluation anew."""

from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import WHOLE, Parser
from ullava.configs.load import read_run


def main(arguments: Sequence[str]) -> None:
    """Writes report.html beside an evaluation's results.json.

    Raises:
        FileNotFoundError: the folder holds no results, or a training's no log.
    """
    parser = Parser(prog="ullava report", description="Writes one page about an evaluation: scores, answers, curves.")
    parser.add_argument("run", type=Path, help="folder of an evaluation: results.json and predictions.jsonl")
    parser.add_argument("--train", nargs="+", type=Path, default=[], metavar="RUN", help="trainings, for their curves")
    parser.add_argument("--pictures", type=WHOLE, help="of each row, the worst; default: 40")
    options = parser.parse(arguments)
    results, predictions = (options.run / name for name in ("results.json", "predictions.jsonl"))
    for file in (results, predictions, *(run / "log.jsonl" for run in options.train)):
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; `ullava eval` writes results, `ullava train` a log")
    from ullava.evaluation.engine.results import read_results
    from ullava.evaluation.report.all_answers import PICTURES
    from ullava.evaluation.report.report import write_report

    config = read_results(results)["run"].get("config")
    own = read_run(config).get("datasets") or {} if config and Path(config).is_file() else {}
    logs = {str(run): run for run in options.train}
    count = PICTURES if options.pictures is None else options.pictures
    print(f"wrote {write_report(options.run / 'report.html', results, predictions, logs, own, pictures=count)}")
