"""`ullava export KIND SOURCE DESTINATION`: writes u-LLaVA's or SAM's own files."""

from collections.abc import Sequence

from ullava.commands.convert import require
from ullava.commands.places import add_places, source_of
from ullava.configs.arguments import Parser

KINDS = ("sam", "ullava_v1", "ullava")


def main(arguments: Sequence[str]) -> None:
    """Writes our weights back as they are published.

    Raises:
        LookupError: no such kind of checkpoint.
        FileExistsError: there is something at the destination.
        FileNotFoundError, ValueError: the source is not what the kind is made of.
    """
    parser = Parser(prog="ullava export", description="Writes our weights back as they are published.")
    parser.add_argument("kind", help=", ".join(KINDS))
    source = "a merged folder; for sam also a run, or a SAM's folder or file"
    add_places(parser, "source", source, "file to write for sam (.pth), else a folder")
    options = parser.parse(arguments)
    require(options.kind, KINDS)
    place = source_of(options, parser, "source")
    from ullava.models.convert.export import export_sam, export_ullava
    from ullava.models.folders.hub import local_folder

    place = local_folder(place, "source")
    if options.kind == "sam":
        export_sam(place, options.destination)
    else:
        export_ullava(place, options.destination, options.kind)
    print(f"wrote {options.destination}")
