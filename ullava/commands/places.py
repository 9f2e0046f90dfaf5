"""The two places of a command that writes a model from a model: both as they stand, or the first by `--model`."""

from argparse import Namespace

from ullava.configs.arguments import Parser, add_model


def add_places(parser: Parser, source: str, source_help: str, destination_help: str) -> None:
    """Adds SOURCE, DESTINATION and `--model`, which names the source as well; `source_of` reads them."""
    parser.add_argument(source, nargs="?", help=source_help)
    parser.add_argument("destination", help=destination_help)
    add_model(parser, None, f"the same as {source}")


def source_of(options: Namespace, parser: Parser, name: str) -> str:
    """The source that a command line names, as an argument called `name` or by `--model`; exits where both or none."""
    sources = [place for place in (getattr(options, name), options.model) if place is not None]
    if len(sources) != 1:
        instead = "--model beside both" if sources else f"{options.destination} alone"
        parser.error(f"expected {name} and destination, found {instead}")
    return sources[0]
