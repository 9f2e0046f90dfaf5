"""Asks a trained model about pictures and videos: from the command line, a folder, a JSONL, or a prompt.

python evaluation/inference_ullava.py --llm_path runs/mine --images a.jpg photos/ --questions "What is it?"
python evaluation/inference_ullava.py --llm_path runs/mine --images a.jpg --task res --phrase "the red circle"
python evaluation/inference_ullava.py --llm_path runs/mine --jsonl questions.jsonl
python evaluation/inference_ullava.py --llm_path runs/mine
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.load import build
from ullava.configs.messages import run_command
from ullava.configs.schema import GenerationConfig
from ullava.evaluation.ask.instances import FORMATS, USUAL
from ullava.evaluation.ask.precision import add_precision, precision_of

GENERATION = ("batch_size", "max_new_tokens", "num_beams", "temperature", "top_p")
IGNORED = ("lora_r", "clip_path", "aspect_ratio", "model_max_length")  # the model's folder settles them


def main(arguments: Sequence[str], model: str = "runs/ullava_stage2") -> None:
    """Answers what is asked; prints the answers, and writes them with masks and boxes to --result_dir."""
    options = parse(arguments, model)
    for flag in IGNORED:
        if getattr(options, flag) is not None:
            print(f"--{flag} is ignored: the model's folder says it", file=sys.stderr)
    if options.conv_type:
        print(f"--conv_type {options.conv_type} is ignored: the model writes as it was trained to", file=sys.stderr)
    from ullava.evaluation.ask.infer import answer, told, write

    asks = collect(options)
    from ullava.models.answering import open_answerer  # torch and all: only once the questions are known to be good

    generation = {"precision": precision_of(options) or "fp32"} | {key: getattr(options, key) for key in GENERATION}
    how = build(GenerationConfig, generation, "command line")
    answerer = open_answerer(options.llm_path, how, allow_mismatch=options.allow_mismatch)
    answered = answer(asks, answerer) if asks else converse(answerer)
    for line in write(Path(options.result_dir), answered, options.save):
        print(f"{line['image'] or 'text'}\n  {line['question']}\n  {told(line)}")
    print(f"wrote {options.result_dir}/answers.jsonl")


def collect(options: argparse.Namespace) -> list:
    """Every question of the command line about every picture, and those of the JSONL; none for a conversation.

    Raises:
        ValueError: pictures or a JSONL without a question.
    """
    from ullava.evaluation.ask.infer import Ask, find_media, question_of, read_asks

    asks = read_asks(options.jsonl) if options.jsonl else []
    media = find_media(options.images) if options.images else [None]
    asks += [Ask(question, each) for each in media for question in options.questions]
    phrases = (options.phrase or [""]) if options.task else []
    asks += [Ask(question_of(options.task, phrase, each), each) for each in media for phrase in phrases]
    if not asks and (options.images or options.jsonl):
        raise ValueError("no question to ask; add --questions, or --task with --phrase, or lines to the JSONL")
    return asks


def converse(answerer) -> Iterator[tuple]:
    """Asks the user for a picture and questions until there are no more; yields as `answer` does."""
    from ullava.evaluation.ask.infer import Ask, answer, medium

    number = 0
    while place := ask_user("picture or video (empty: end; -: none): "):
        try:
            about = None if place == "-" else medium(place)
        except (FileNotFoundError, ValueError) as error:
            print(error)
            continue
        while question := ask_user("question (empty: another picture): "):
            yield from answer([Ask(question, about)], answerer, number)
            number += 1


def ask_user(prompt: str) -> str:
    """One typed line; "" at the end of the input."""
    try:
        return input(prompt).strip()
    except EOFError:
        return ""


def parse(arguments: Sequence[str], model: str) -> argparse.Namespace:
    """The command line, with the flags of u-LLaVA's own."""
    parser = argparse.ArgumentParser(description="Asks a trained model about pictures and videos; without a question, "
                                     "it asks you.")  # fmt: skip
    add = parser.add_argument
    names = ("--llm_path", "--model", "--model_name", "--version")  # u-LLaVA's, ours, LISA's
    add(*names, default=model, help="folder of a run or model; default: %(default)s")
    add("--images", nargs="+", metavar="PLACE", help="files, folders, or patterns")
    add("--questions", nargs="+", default=[], help="each is asked about each picture")
    add("--jsonl", help='a file of lines {"image": ..., "question": ...}')
    add("--task", help="asks as this task does, e.g. res, rec, salient, captioning")
    add("--phrase", nargs="+", help="what --task asks for")
    add("--result_dir", "--out", "--vis_save_path", default="runs/inference", help="default: %(default)s")
    add("--save", nargs="+", choices=FORMATS, default=USUAL, help="what is written; default: %(default)s")
    add_precision(parser)
    add("--batch_size", type=int, default=16, help="questions at once; default: %(default)s")
    add("--max_new_tokens", type=int, default=128)
    add("--num_beams", type=int, default=1)
    add("--temperature", type=float, default=0.0, help="0: always the likeliest word")
    add("--top_p", type=float, default=1.0)
    add("--conv_type", "--conv_mode", help=argparse.SUPPRESS)
    for flag in IGNORED:
        add(f"--{flag}", help=argparse.SUPPRESS)
    return parser.parse_args(list(arguments))


if __name__ == "__main__":
    run_command(main)
