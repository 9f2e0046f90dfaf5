"""The arguments that infer, ask and chat share: the model, where files go and which, how long an answer may be."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ullava.configs.arguments import AMOUNT, COUNT, MODEL, add_model, add_precision, precision_of
from ullava.configs.load import build
from ullava.configs.schema import GenerationConfig

if TYPE_CHECKING:  # torch and all
    from ullava.models.answering import Answerer

FORMATS = ("png", "npy", "rle", "polygons", "boxes", "overlay", "coco")  # evaluation/ask/instances.py says what each is
USUAL = ("png", "boxes", "overlay")
RUN = "runs/ullava_stage2"
GENERATION = ("batch_size", "max_new_tokens", "num_beams", "temperature", "top_p")


def add_answering(parser: ArgumentParser, out: Path, run: str | None = None) -> None:
    """Adds what every way to ask needs.

    Args:
        out: default folder of what is written.
        run: default model; None: $ULLAVA_MODEL, or else stage II's run.
    """
    usual = run or os.environ.get("ULLAVA_MODEL", RUN)
    add_model(parser, usual, f"{MODEL}; default: " + (run or f"$ULLAVA_MODEL or {RUN}"))
    add = parser.add_argument
    add("--out", "--result_dir", "--vis_save_path", type=Path, default=out, metavar="FOLDER", help="default: "
        "%(default)s")  # fmt: skip
    add("--save", nargs="+", choices=FORMATS, default=USUAL, help=f"what is written; default: {' '.join(USUAL)}")
    add("--max_new_tokens", type=COUNT, default=128, help="of an answer; default: %(default)s")
    add("--temperature", type=AMOUNT, default=0.0, help="0: always the likeliest word")
    add_precision(parser)


def open_model(options: Namespace) -> "Answerer":
    """The answerer that a command line names.

    Raises:
        ConfigError: a generation option is out of its range.
        FileNotFoundError, ValueError: the model's folder is missing, or does not hold what it says.
    """
    generation = {key: getattr(options, key) for key in GENERATION if hasattr(options, key)}
    generation |= {"precision": precision_of(options) or "fp32"}
    config = build(GenerationConfig, generation, "command line")
    from ullava.models.answering import open_answerer  # torch and all: only once the question is known to be good

    return open_answerer(options.model, config, allow_mismatch=options.allow_mismatch)
