"""One question about one picture, in one line: `ullava ask picture.jpg "the cup on the left"`."""

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import Parser
from ullava.evaluation.ask.options import add_answering, open_model
from ullava.evaluation.ask.wording import asks_itself

ARTICLE = re.compile(r"^(the|an?)\s+", re.IGNORECASE)  # the questions have their own


def main(arguments: Sequence[str]) -> None:
    """Prints the answer, and writes the masks and boxes in it.

    Raises:
        FileNotFoundError, ValueError: no such picture or model, or no words.
        LookupError: no such task.
    """
    options = parse(arguments)
    if not options.text.strip():
        raise ValueError("ullava ask: expected what to find, or a question, found no words")
    from ullava.evaluation.ask.infer import Ask, answer, describe, find_media, question_of, write

    media = find_media([options.picture])
    is_sentence = asks_itself(options.text) and not options.task
    phrase = ARTICLE.sub("", options.text)
    questions = [
        options.text if is_sentence else question_of(options.task or "res", phrase, medium) for medium in media
    ]
    asks = [Ask(question, medium) for question, medium in zip(questions, media, strict=True)]
    for line in write(options.out, answer(asks, open_model(options)), options.save):
        print(f"{line['image']}\n  {describe(line)}")
    print(f"wrote {options.out}")


def parse(arguments: Sequence[str]) -> Namespace:
    """The command line."""
    parser = Parser(prog="ullava ask", description="Finds a thing in a picture, or asks about it.")
    parser.add_argument("picture", help="a picture, a video, a folder, or a pattern in quotes")
    parser.add_argument("text", help="what to find; or a whole sentence, which is asked as it stands")
    parser.add_argument("--task", help="ask as this task does, e.g. res, rec, salient, captioning")
    add_answering(parser, Path("runs/ask"))
    return parser.parse(arguments)
