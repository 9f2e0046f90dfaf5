"""`ullava demo`: does the whole job on the embedded world."""

from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import Parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains on the embedded world, evaluates, and writes a page about it.

    Raises:
        ChildProcessError: one of its commands failed.
    """
    parser = Parser(prog="ullava demo", description="Trains on the embedded world, evaluates, and writes a page.")
    parser.add_argument("--output", type=Path, help="default: runs/demo, runs/boxes, runs/family")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--boxes", action="store_true", help="four ways to a box, trained and scored side by side")
    which.add_argument("--family", action="store_true", help="LISA, LaSagnA, KeySeg and parts, each trained and scored")
    parser.add_argument("--go_on", action="store_true", help="from where a demo was stopped, instead of anew")
    parser.add_argument("--quick", action="store_true", help="two steps of each stage, a small world: does it run?")
    parser.add_argument(
        "--random_tower", action="store_true", help="contrast: a vision tower of random weights, frozen all the same"
    )
    options = parser.parse(arguments)
    from ullava.demo.demo import demonstrate

    name = "boxes" if options.boxes else "family" if options.family else "demo"
    demonstrate(
        name, options.output, quick=options.quick, resume=options.go_on, random_tower=options.random_tower
    )  # fmt: skip
