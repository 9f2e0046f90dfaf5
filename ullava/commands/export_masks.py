"""`ullava export-masks ANNOTATIONS [DESTINATION]`: draws ReasonSeg's annotations as masks."""

from collections.abc import Sequence
from pathlib import Path

from ullava.configs.arguments import Parser


def main(arguments: Sequence[str]) -> None:
    """Draws three masks for each annotation.

    Raises:
        FileNotFoundError: there are no annotations.
        ValueError: a file is none.
    """
    parser = Parser(prog="ullava export-masks", description="Draws ReasonSeg's annotations: a folder of three masks "
                    "for each file.")  # fmt: skip
    parser.add_argument("annotations", type=Path, help="an annotation (JSON), or a folder of them")
    parser.add_argument(
        "destination", type=Path, nargs="?", default=Path("output_masks"),
        help="folder to write: <name of the annotation>/target_mask.png ...; default: %(default)s",
    )  # fmt: skip
    options = parser.parse(arguments)
    from ullava.evaluation.score.export_masks import export

    print(f"wrote {3 * export(options.annotations, options.destination)} masks to {options.destination}")
