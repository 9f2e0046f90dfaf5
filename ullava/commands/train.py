"""`ullava train [YAML] [key=value ...]`: trains one stage, or goes on with it."""

from collections.abc import Sequence

from ullava.configs.arguments import Parser, add_mismatch, add_yaml, yaml_of
from ullava.configs.load import load
from ullava.configs.messages import located
from ullava.configs.schema import RunConfig

DEFAULT = "train/ullava_core_stage1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains as the YAML and the arguments say; a run that was stopped goes on.

    Raises:
        ConfigError: the YAML or an override does not fit the schema; every fault, one a line.
    """
    parser = Parser(description="Trains one stage of ullava.")
    add_yaml(parser, "a training", "training.batch_size=4 data.0.portion=2", default=DEFAULT)
    add_mismatch(parser)
    parser.add_argument(
        "--change-rates", action="store_true", help="go on with a run under another rate, weight decay or schedule"
    )
    parser.add_argument(
        "--skip-bad-checkpoint", action="store_true", help="put a checkpoint aside that is not whole, take one before"
    )
    options = parser.parse(arguments)
    path, overrides = yaml_of(options, DEFAULT)
    config = load(path, RunConfig, overrides, plugins=True)
    from ullava.training.train import train  # torch and all: only once the YAML is known to be good

    with located(str(path)):
        train(
            config, allow_mismatch=options.allow_mismatch, change_rates=options.change_rates,
            skip_bad=options.skip_bad_checkpoint,
        )  # fmt: skip
