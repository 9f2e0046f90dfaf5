"""`ullava merge RUN DESTINATION`: writes one whole model from what a run learned."""

from collections.abc import Sequence

from ullava.commands.places import add_places, source_of
from ullava.configs.arguments import Parser, add_mismatch


def main(arguments: Sequence[str]) -> None:
    """Merges as the command line says.

    Raises:
        FileNotFoundError, ValueError: the run is no such folder, or does not hold what it says.
        FileExistsError: there is something at the destination.
    """
    parser = Parser(prog="ullava merge", description="Writes one whole model from what a run learned.")
    add_places(parser, "run", "folder of a run or a checkpoint", "folder to write: config, tokenizer, safetensors")
    add_mismatch(parser)
    options = parser.parse(arguments)
    run = source_of(options, parser, "run")
    from ullava.models.convert.merge import merge
    from ullava.models.folders.hub import local_folder

    merge(local_folder(run, "run"), options.destination, allow_mismatch=options.allow_mismatch)
    print(f"wrote {options.destination}")
