"""Asks a trained model about pictures and videos: from the command line, a folder, a JSONL, or a prompt.

python evaluation/inference_ullava.py --model runs/mine --images a.jpg photos/ --questions "What is it?"
python evaluation/inference_ullava.py --model runs/mine --images a.jpg --task res --phrase "the red circle"
python evaluation/inference_ullava.py --model runs/mine --jsonl questions.jsonl
python evaluation/inference_ullava.py --model runs/mine
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.arguments import COUNT, SHARE, Parser
from ullava.configs.messages import run_command
from ullava.evaluation.ask.options import RUN, add_answering, open_model

if TYPE_CHECKING:  # numpy and all
    from ullava.datasets.structures import Answer
    from ullava.evaluation.ask.infer import Ask
    from ullava.evaluation.engine.rows import Answerer

IGNORED = ("lora_r", "clip_path", "aspect_ratio", "model_max_length")  # u-LLaVA's; the model's folder settles them


def main(arguments: Sequence[str], model: str = RUN) -> None:
    """Answers every question; prints the answers, and writes them with masks and boxes to `--out`.

    Args:
        model: the run that is asked where the arguments name none.

    Raises:
        FileNotFoundError, LookupError, ValueError: no such picture, task or model, or no question.
    """
    options = parse(arguments, model)
    for flag in IGNORED:
        if getattr(options, flag) is not None:
            print(f"--{flag} is ignored: the model's folder says it", file=sys.stderr)
    if options.conv_type:
        print(f"--conv_type {options.conv_type} is ignored: the model writes as it was trained to", file=sys.stderr)
    from ullava.evaluation.ask.infer import answer, describe, write

    asks = collect(options)
    answerer = open_model(options)
    answered = answer(asks, answerer) if asks else converse(answerer)
    for line in write(options.out, answered, options.save):
        print(f"{line['image'] or 'text'}\n  {line['question']}\n  {describe(line)}")
    print(f"wrote {options.out}/answers.jsonl")


def collect(options: argparse.Namespace) -> "list[Ask]":
    """Every question of the command line about every picture, and those of the JSONL; none for a conversation.

    Raises:
        ValueError: pictures or a JSONL without a question.
    """
    from ullava.evaluation.ask.infer import Ask, find_media, question_of, read_asks

    asks = read_asks(options.jsonl) if options.jsonl else []
    media = find_media(options.images) if options.images else [None]
    asks += [Ask(question, medium) for medium in media for question in options.questions]
    phrases = (options.phrase or [""]) if options.task else []
    asks += [Ask(question_of(options.task, phrase, medium), medium) for medium in media for phrase in phrases]
    if not asks and (options.images or options.jsonl):
        raise ValueError("no question to ask; add --questions, or --task with --phrase, or lines to the JSONL")
    return asks


def converse(answerer: "Answerer") -> "Iterator[tuple[int, Ask, Answer]]":
    """Asks the user for a picture and questions until there are no more; yields as `answer` does."""
    from ullava.evaluation.ask.chat import read_line
    from ullava.evaluation.ask.infer import Ask, answer, medium

    number = 0
    while place := read_line("picture or video (empty: end; -: none): "):
        try:
            about = None if place == "-" else medium(place)
        except (FileNotFoundError, ValueError) as error:
            print(error)
            continue
        while question := read_line("question (empty: another picture): "):
            yield from answer([Ask(question, about)], answerer, number)
            number += 1


def parse(arguments: Sequence[str], model: str) -> argparse.Namespace:
    """The command line; `model` is the default of `--model`."""
    parser = Parser(description="Asks a trained model about pictures and videos; without a question, it asks you.")
    add = parser.add_argument
    add("--images", nargs="+", metavar="PLACE", help="files, folders, or patterns")
    add("--questions", nargs="+", default=[], help="each is asked about each picture")
    add("--jsonl", help='a file of lines {"image": ..., "question": ...}')
    add("--task", help="asks as this task does, e.g. res, rec, salient, captioning")
    add("--phrase", nargs="+", help="what --task asks for")
    add_answering(parser, Path("runs/inference"), model)
    add("--batch_size", type=COUNT, default=16, help="questions at once; default: %(default)s")
    add("--num_beams", type=COUNT, default=1, help="default: %(default)s")
    add("--top_p", type=SHARE, default=1.0, help="default: %(default)s")
    add("--conv_type", "--conv_mode", help=argparse.SUPPRESS)
    for flag in IGNORED:
        add(f"--{flag}", help=argparse.SUPPRESS)
    return parser.parse(arguments)


if __name__ == "__main__":
    run_command(main)
