"""`ullava check YAML [key=value ...]`: says what a YAML would do; `--replay FILE`: what a stopped run stopped at."""

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import COUNT, Parser, add_yaml, yaml_of

DEPTHS = ("paths", "sample", "all")  # of ullava/checking/datasets.py, which would load torch


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints what a YAML would do, or the samples of a step.

    Raises:
        ConfigError: every fault of the YAML and its data, one a line.
    """
    options = parse(arguments)
    if options.replay:
        from ullava.training.replay import replay

        for line in replay(options.replay):
            print(line, flush=True)
        return
    path, overrides = yaml_of(options)
    from ullava.checking.check import check, check_whole

    depth = options.depth or ("sample" if options.sample else None)
    if depth is None:
        print(check(path, overrides, devices=options.devices))
        return
    report = check_whole(
        path, overrides, devices=options.devices, depth=depth, sample=options.sample or 100, workers=options.workers,
        output=options.output,
    )  # fmt: skip
    print(report)


def parse(arguments: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = Parser(prog="ullava check", description="Says what a YAML would do before it does it, and every fault in "
                    "it and its data.")  # fmt: skip
    add_yaml(parser, "a training or an evaluation", "training.batch_size=4")
    parser.add_argument("--devices", type=COUNT, default=1, help="processes that will train together")
    parser.add_argument("--depth", choices=DEPTHS, help="look at every record, too: paths decodes nothing, "
                        "sample looks at some whole, all at every one; writes check.json and check.html")  # fmt: skip
    parser.add_argument("--sample", type=COUNT, help="with --depth sample: records of each row; default: 100")
    parser.add_argument("--workers", type=COUNT, default=os.cpu_count(), help="processes; default: %(default)s")
    parser.add_argument("--output", type=Path, help="folder of the two files; default: check/ in the run's own")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="instead: show the samples of a step that a run "
                        "stopped at, RUN/faults/step-N.json")  # fmt: skip
    return parser.parse(arguments)
