"""Scores boxes (REC): `eval_ullava.py` with configs/eval/eval_rec.yaml where no other YAML is named."""

import sys
from functools import partial
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.load import CONFIGS
from ullava.evaluation.eval_ullava import main
from ullava.messages import run_command

REC = CONFIGS / "eval" / "eval_rec.yaml"

if __name__ == "__main__":
    run_command(partial(main, default=REC))
