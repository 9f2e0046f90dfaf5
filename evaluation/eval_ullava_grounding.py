"""Scores boxes (REC): `eval_ullava.py` with configs/eval/eval_rec.yaml where no other YAML is named.

    python evaluation/eval_ullava_grounding.py --cfg_path X.yaml --boxes box,mask2box,detector,grounding \\
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

from ullava.configs.load import CONFIGS, read_run
from ullava.configs.messages import run_command
from ullava.evaluation.engine.ranks import place
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.eval_ullava import main as evaluate
from ullava.evaluation.eval_ullava import parse
from ullava.evaluation.report.box_source_comparison import comparison_table, verdict

REC = CONFIGS / "eval" / "eval_rec.yaml"


def main(arguments: Sequence[str]) -> None:
    """Evaluates, and says which source is best where there are several."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--boxes", help="sources, comma between them: box,mask2box,detector,grounding")
    parser.add_argument("--grounding_path", help="of `grounding`: a GroundingDINO, folder or published file")
    parser.add_argument("--text_path", help="of a published file: folder of its text encoder (bert-base-uncased)")
    own, rest = parser.parse_known_args(list(arguments))
    if own.boxes:
        tree = read_run(parse(rest, REC).cfg_path)
        detector = {"weights": own.grounding_path, "text": own.text_path}
        rows = side_by_side(tree.get("evaluate") or [], own.boxes.split(","), detector)
        rest = [f"evaluate={json.dumps(rows)}", *rest]
    elif "-h" in rest or "--help" in rest:
        print(parser.format_help())
    evaluate(rest, default=REC)
    if place()[0] == 0 and (output := written(rest)).is_file() and (said := verdict(read_results(output))):
        print(f"\n{comparison_table(read_results(output))}\n\n{said}")


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
    """Where the results lie."""
    from ullava.configs.load import load
    from ullava.configs.schema import EvaluationConfig

    options = parse(arguments, REC)
    return Path(load(options.cfg_path, EvaluationConfig, options.overrides).output_dir, "results.json")


if __name__ == "__main__":
    run_command(main)
