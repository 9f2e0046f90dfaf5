"""`ullava prepare KIND ...`: the command line of all kinds."""

import argparse
import inspect
import textwrap
from collections.abc import Sequence

import ullava.preparing  # noqa: F401, registers them
from ullava.configs.arguments import Parser
from ullava.configs.messages import run_command
from ullava.preparing.base import PREPARATIONS, Kind


def main(arguments: Sequence[str]) -> None:
    """Prepares as the command line says."""
    parser = Parser(prog="ullava prepare", description="Makes a dataset ready to be read.")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, kind in sorted(PREPARATIONS.items()):
        add(kinds, name, kind)
    options = parser.parse(arguments)
    print(PREPARATIONS[options.kind]().prepare(options))


def add(kinds: "argparse._SubParsersAction[Parser]", name: str, kind: type[Kind]) -> None:
    """A kind's own parser: what it does, reads and writes."""
    doc = inspect.getdoc(kind) or name
    files = [f"{verb}: {textwrap.fill(text, 100)}" for verb, text in (("reads", kind.reads), ("writes", kind.writes))]
    parser = kinds.add_parser(
        name, help=doc.splitlines()[0].rstrip("."), description="\n".join([doc, "", *files]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    kind().ask(parser)


if __name__ == "__main__":
    run_command(main)
