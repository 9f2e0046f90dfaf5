"""One question about one picture, in one line: `ullava ask picture.jpg "the cup on the left"`."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ullava.configs.load import build
from ullava.configs.schema import GenerationConfig
from ullava.evaluation.ask.instances import FORMATS, USUAL
from ullava.evaluation.ask.precision import add_precision, precision_of

ENDS = (".", "?", "!", ":", "。", "？", "！", "؟", "।")  # of a sentence: what ends otherwise names a thing
ARTICLE = re.compile(r"^(the|an?)\s+", re.IGNORECASE)  # the questions have their own
MODEL = "runs/ullava_stage2"


def main(arguments: Sequence[str]) -> None:
    """Prints the answer, and writes what it points at."""
    options = parse(arguments)
    if not options.text.strip():
        raise ValueError("ullava ask: expected what to find, or a question, found no words")
    from ullava.evaluation.ask.infer import Ask, answer, find_media, question_of, told, write

    media = find_media(options.picture)
    whole = asks_itself(options.text) and not options.task
    phrase = ARTICLE.sub("", options.text)
    worded = [options.text if whole else question_of(options.task or "res", phrase, medium) for medium in media]
    asks = [Ask(question, medium) for question, medium in zip(worded, media, strict=True)]
    answerer = open_model(options)
    for line in write(options.out, answer(asks, answerer), options.save):
        print(f"{line['image']}\n  {told(line)}")
    print(f"wrote {options.out}")


def asks_itself(text: str) -> bool:
    """Whether a text is a sentence, to be asked as it stands; otherwise it names a thing to be found."""
    return text.rstrip().endswith(ENDS)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ullava ask", description=__doc__)
    parser.add_argument("picture", nargs=1, help="a picture, a video, a folder, or a pattern in quotes")
    parser.add_argument("text", help="what to find; or a whole sentence, which is asked as it stands")
    parser.add_argument("--task", help="ask as this task does, e.g. res, rec, salient, captioning")
    add_model(parser, Path("runs/ask"))
    return parser.parse_args(list(arguments))


def add_model(parser: argparse.ArgumentParser, out: Path) -> None:
    """Adds what every way to talk needs: the model, its precision, how long it speaks, and where files go."""
    add, usual = parser.add_argument, os.environ.get("ULLAVA_MODEL", MODEL)
    folder = f"folder of a run or model; default: $ULLAVA_MODEL or {MODEL}"
    add("--model", "--llm_path", "--version", default=usual, help=folder)  # ours, u-LLaVA's, LISA's
    add("--out", "--result_dir", "--vis_save_path", type=Path, default=out, help="default: %(default)s")
    add("--save", nargs="+", choices=FORMATS, default=USUAL, help="what is written; default: %(default)s")
    add("--max_new_tokens", type=int, default=128)
    add("--temperature", type=float, default=0.0, help="0: always the likeliest word")
    add_precision(parser)


def open_model(options: argparse.Namespace):
    """The answerer that the command line names."""
    from ullava.models.answering import open_answerer  # torch and all: only once the question is known to be good

    how = {key: getattr(options, key) for key in ("max_new_tokens", "temperature")}
    how = build(GenerationConfig, {"precision": precision_of(options) or "fp32"} | how, "command line")
    return open_answerer(options.model, how, allow_mismatch=options.allow_mismatch)
