"""Scores boxes (REC): `eval_ullava.py` with configs/eval/eval_rec.yaml where no other YAML is named.

    python evaluation/eval_ullava_grounding.py X.yaml --boxes box,mask2box,detector,grounding \\
        --grounding_path model_zoo/groundingdino_swint_ogc.pth --text_path model_zoo/bert-base-uncased

With --boxes, every row of the YAML is scored once by each source, side by side in results.json.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.arguments import yaml_of
from ullava.configs.load import load, read_run
from ullava.configs.messages import run_command
from ullava.configs.schema import EvaluationConfig
from ullava.evaluation.eval_ullava import main as evaluate
from ullava.evaluation.eval_ullava import parse

REC = "eval/eval_rec"


def main(arguments: Sequence[str]) -> None:
    """Evaluates, and says which source is best where there are several.

    Raises:
        ConfigError, FileNotFoundError, LookupError, ValueError: as `eval_ullava.main`.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--boxes", help="sources, comma between them: box,mask2box,detector,grounding")
    parser.add_argument("--grounding_path", help="of `grounding`: a GroundingDINO, folder or published file")
    parser.add_argument("--text_path", help="of a published file: folder of its text encoder (bert-base-uncased)")
    own, rest = parser.parse_known_args(list(arguments))
    if own.boxes:
        path, _ = yaml_of(parse(rest, REC), REC)
        detector = {"weights": own.grounding_path, "text": own.text_path}
        rows = side_by_side(read_run(path).get("evaluate") or [], own.boxes.split(","), detector)
        rest = [f"evaluate={json.dumps(rows)}", *rest]  # before overrides of single rows
    elif "-h" in rest or "--help" in rest:
        print(parser.format_help())
    evaluate(rest, default=REC)
    print_verdict(rest)


def print_verdict(arguments: Sequence[str]) -> None:
    """Prints which source of boxes is best, where the results of these arguments hold several."""
    from ullava.evaluation.engine.ranks import place
    from ullava.evaluation.engine.results import read_results
    from ullava.evaluation.report.box_source_comparison import comparison_table, verdict

    results = written(arguments)
    if place()[0] == 0 and results.is_file() and (sentence := verdict(read_results(results))):
        print(f"\n{comparison_table(read_results(results))}\n\n{sentence}")


def side_by_side(
    rows: Sequence[Mapping[str, Any]], sources: Sequence[str], detector: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Each row once for each source; `detector` are the options of `grounding`."""
    options = {key: value for key, value in detector.items() if value}
    return [
        {**row, "boxes": {source: options} if source == "grounding" and options else source}
        for row in rows
        for source in sources
    ]


def written(arguments: Sequence[str]) -> Path:
    """The results.json of an evaluation by these arguments."""
    path, overrides = yaml_of(parse(arguments, REC), REC)
    return Path(load(path, EvaluationConfig, overrides).output_dir, "results.json")


if __name__ == "__main__":
    run_command(main)
