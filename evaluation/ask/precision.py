"""The flags by which commands choose a precision, LISA's among them, and other foundations."""

import argparse
from typing import get_args

from ullava.configs.schema import Precision


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Adds --dtype, --load_in_8bit, --load_in_4bit and --allow-mismatch."""
    parser.add_argument(
        "--dtype", "--precision", choices=get_args(Precision), help="of the weights; 8bit and 4bit need bitsandbytes"
    )
    for bits in (8, 4):
        parser.add_argument(f"--load_in_{bits}bit", action="store_true", help=f"the same as --dtype {bits}bit")
    parser.add_argument("--allow-mismatch", action="store_true", help="stand on other weights than it was trained on")


def precision_of(options: argparse.Namespace) -> str | None:
    """The precision that the flags name; None where they name none.

    Raises:
        ValueError: both kinds of quantised weights at once.
    """
    if options.load_in_8bit and options.load_in_4bit:
        raise ValueError("--load_in_8bit and --load_in_4bit: expected one of them, found both")
    return "8bit" if options.load_in_8bit else "4bit" if options.load_in_4bit else options.dtype
