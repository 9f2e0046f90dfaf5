"""`ullava plan YAML [key=value ...] --gpus 4x24`: what memory a stage would take on GPUs that need not be here."""

from argparse import Namespace
from collections.abc import Sequence

from ullava.configs.arguments import WHOLE, Parser, add_yaml, yaml_of
from ullava.configs.load import load
from ullava.configs.schema import RunConfig


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table of parts, and which keys to change where they do not fit.

    Raises:
        ConfigError: the YAML, or `--gpus`, is not as expected.
        FileNotFoundError: a foundation has no config.json, and no `--size` is given.
    """
    options = parse(arguments)
    path, overrides = yaml_of(options)
    config = load(path, RunConfig, overrides, plugins=True)
    from ullava.memory.plan import plan
    from ullava.models.folders.resolve import resolve_folders

    model = resolve_folders(config.model, weights=False, strict=options.size is None)
    config = config.model_copy(update={"model": model})
    print("\n".join(plan(config, options.gpus, size=options.size, promises=options.promises)))


def parse(arguments: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = Parser(prog="ullava plan", description="Says what memory a stage would take on GPUs that need not be "
                    "here, and which keys to change if they are too small.")  # fmt: skip
    add_yaml(parser, "a training", "training.batch_size=4")
    parser.add_argument("--gpus", default="1x80", help="how many of how many GiB, e.g. 4x24; default: %(default)s")
    parser.add_argument("--size", choices=("7b", "13b"), help="of foundations whose folders are not here")
    parser.add_argument("--promises", type=WHOLE, default=3, help="masks asked for in a row; default: %(default)s")
    options = parser.parse(arguments)
    if not (options.cfg_path or options.yaml):
        parser.error("which YAML?")
    return options
