"""Asks a model of stage I, which answers in words: `inference_ullava.py` with that stage's run as its default."""

import sys
from functools import partial
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.messages import run_command
from ullava.evaluation.inference_ullava import main

if __name__ == "__main__":
    run_command(partial(main, model="runs/ullava_core_stage1"))
