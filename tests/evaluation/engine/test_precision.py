"""The flags of a precision, and that commands hand them on."""

import argparse

import pytest

from ullava.evaluation.ask.precision import add_precision, precision_of
from ullava.evaluation.eval_ullava import RES
from ullava.evaluation.eval_ullava import parse as parse_eval
from ullava.evaluation.inference_ullava import parse as parse_infer


def told(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_precision(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], None),
        (["--dtype", "fp16"], "fp16"),
        (["--precision", "4bit"], "4bit"),
        (["--load_in_8bit"], "8bit"),
        (["--precision", "fp16", "--load_in_4bit"], "4bit"),  # as LISA's chat.py is called
    ],
)
def test_flags_name_one_precision(arguments, expected):
    assert precision_of(told(*arguments)) == expected


def test_two_kinds_at_once_are_refused():
    with pytest.raises(ValueError, match="expected one of them, found both"):
        precision_of(told("--load_in_8bit", "--load_in_4bit"))


@pytest.mark.parametrize(("parse", "default"), [(parse_eval, RES), (parse_infer, "runs/a")])
def test_commands_take_them(parse, default):
    options = parse(["--allow-mismatch"], default)
    assert options.allow_mismatch and precision_of(options) is None
