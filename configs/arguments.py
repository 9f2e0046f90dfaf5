"""The arguments that commands share, each declared once: the YAML, its overrides, a model's folder, the precision.

    ullava VERB [YAML] [key=value ...] [--model FOLDER] [--dtype bf16] ...

A YAML is a file, or a shipped one by its name (`tiny/stage1`). Options are written with `_` or `-` alike.
"""

import json
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, isfinite, nan
from pathlib import Path
from typing import NoReturn, get_args

from ullava.configs.load import ConfigError, find_yaml, read_run
from ullava.configs.registry import nearest
from ullava.configs.schema import Precision

ALIASES = ("--llm_path", "--model_name", "--version")  # of --model: u-LLaVA's, LISA's chat.py and merge script
MODEL = "folder of a run or a model"


def number(kind: type[int] | type[float], least: float, most: float = inf) -> Callable[[str], int | float]:
    """The `type` of an option that is a number from `least` to `most`."""

    def parse(text: str) -> int | float:
        bounds = f"of {least} or more" if most == inf else f"from {least} to {most}"
        try:
            value = kind(text)
        except ValueError:
            value = nan
        if not (least <= value <= most and isfinite(value)):
            what = "a whole number" if kind is int else "a number"
            raise ArgumentTypeError(f"expected {what} {bounds}, found {text}")
        return value

    return parse


COUNT, WHOLE, RANDOM_SEED, ID, PORT = (
    number(int, 1), number(int, 0), number(int, 0, 2**32 - 1), number(int, 0, 65535), number(int, 1, 65535)
)  # fmt: skip
AMOUNT, SHARE = number(float, 0), number(float, 0, 1)


class Parser(ArgumentParser):
    """A parser that takes options with `_` or `-` alike, in any order, and names the nearest to an unknown one."""

    def parse(self, arguments: Sequence[str] | None) -> Namespace:
        """The options, from the words of a command line; exits with 2 and the nearest option where one is unknown."""
        known = set(self.options())
        words = [spell(word, known) for word in (sys.argv[1:] if arguments is None else arguments)]
        if any(self.subparsers()):
            parsed, unknown = self.parse_known_args(words)
        else:
            if {"-h", "--help"} & set(words):  # argparse would print it while it hides the arguments' defaults
                self.print_help()
                self.exit()
            parsed, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            self.refuse(unknown[0])
        return parsed

    def subparsers(self) -> Iterator["Parser"]:
        """Yields the parsers of the kinds of thing that the first word may be."""
        for action in self._actions:
            if isinstance(action, _SubParsersAction):
                yield from (parser for parser in action.choices.values() if isinstance(parser, Parser))

    def options(self) -> Iterator[str]:
        """Yields every option of this parser and of those below it."""
        yield from (name for action in self._actions if action.help != SUPPRESS for name in action.option_strings)
        for parser in self.subparsers():
            yield from parser.options()

    def refuse(self, word: str) -> NoReturn:
        """Ends the program with a message about a word that no option or argument takes."""
        name = word.partition("=")[0]
        if not name.startswith("-"):
            self.error(f"too many arguments: {word!r}")
        self.error(f"no option {name!r}; {nearest(name, {option for option in self.options() if len(option) > 2})}")


def spell(word: str, known: set[str]) -> str:
    """`--allow_mismatch` as `--allow-mismatch`, and the other way round, if only that one is known."""
    name, equals, value = word.partition("=")
    spellings = (name, name.replace("_", "-"), "--" + name[2:].replace("-", "_"))
    if not name.startswith("--") or name in known:
        return word
    return next((spelling for spelling in spellings if spelling in known), name) + equals + value


def add_yaml(parser: ArgumentParser, what: str, example: str, *, default: str | None = None) -> None:
    """Adds the YAML, its overrides, `--cfg_path` and `--model`; `yaml_of` reads them.

    Args:
        what: the YAML's subject, "a training".
        example: an override, "training.batch_size=4".
        default: the YAML where none is named.
    """
    usual = f"; default: {default}" if default else ""
    parser.add_argument("yaml", nargs="?", metavar="YAML", help=f"{what}: a file, or a shipped one by name{usual}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"instead of the YAML's, e.g. {example}")
    parser.add_argument("--cfg_path", metavar="YAML", help="the same as YAML")
    add_model(parser, None, f"{MODEL}, instead of the YAML's")


def yaml_of(options: Namespace, default: str | None = None) -> tuple[Path, list[str]]:
    """The YAML's path and the overrides that a command line names; `--model` is one of them.

    Raises:
        ConfigError: no YAML is named and there is no default, or there is no such file.
    """
    words = [word for word in (options.yaml, *options.overrides) if word is not None]
    named = options.cfg_path or next((word for word in words if "=" not in word or Path(word).is_file()), None)
    if named is not None and options.cfg_path is None:
        words.remove(named)
    if named is None and default is None:
        raise ConfigError("which YAML? expected a file, or the name of a shipped one, as first argument")
    path = find_yaml(named or default or "")
    return path, [*words, *([model_override(path, options.model)] if options.model else [])]


def model_override(path: Path, folder: str) -> str:
    """The override by which the YAML at `path` takes its model from `folder`."""
    model = read_run(path).get("model")
    key = "model"
    if isinstance(model, Mapping):  # a training, which names what it begins with part by part
        key = "model.backbone" if "backbone" in model else "model.llm"
    return f"{key}={json.dumps(folder)}"


def add_model(parser: ArgumentParser, default: str | None, text: str = MODEL) -> None:
    """Adds `--model` and its spellings in other programs."""
    parser.add_argument("--model", metavar="FOLDER", default=default, help=text)
    parser.add_argument(*ALIASES, dest="model", default=SUPPRESS, help=SUPPRESS)


def add_precision(parser: ArgumentParser) -> None:
    """Adds --dtype, --load_in_8bit, --load_in_4bit (LISA's) and --allow-mismatch."""
    parser.add_argument(
        "--dtype", "--precision", choices=get_args(Precision), help="of the weights; 8bit and 4bit need bitsandbytes"
    )
    for bits in (8, 4):
        parser.add_argument(f"--load_in_{bits}bit", action="store_true", help=f"the same as --dtype {bits}bit")
    add_mismatch(parser)


def add_mismatch(parser: ArgumentParser) -> None:
    """Adds --allow-mismatch."""
    parser.add_argument("--allow-mismatch", action="store_true", help="stand on other weights than it was trained on")


def precision_of(options: Namespace) -> str | None:
    """The precision that the flags name; None where they name none.

    Raises:
        ValueError: both kinds of quantised weights at once.
    """
    if options.load_in_8bit and options.load_in_4bit:
        raise ValueError("--load_in_8bit and --load_in_4bit: expected one of them, found both")
    return "8bit" if options.load_in_8bit else "4bit" if options.load_in_4bit else options.dtype
