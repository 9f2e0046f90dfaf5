"""`ullava convert KIND SOURCE DESTINATION`: opens a published checkpoint."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ullava.commands.places import add_places, source_of
from ullava.configs.arguments import COUNT, Parser
from ullava.configs.registry import nearest

KINDS = ("sam", "groundingdino", "llava", "ullava_v1", "ullava", "lisa", "lasagna", "keyseg")


def main(arguments: Sequence[str]) -> None:
    """Writes a published checkpoint as a folder of ours.

    Raises:
        LookupError: no such kind of checkpoint.
        FileExistsError: there is something at the destination.
        FileNotFoundError, ValueError: the source is not whole, or not of that kind.
    """
    parser = Parser(prog="ullava convert", description="Writes a published checkpoint as a folder of ours.")
    parser.add_argument("kind", help=", ".join(KINDS))
    add_places(parser, "source", "its folder or file", "folder to write; what `model.llm`, eval and infer take")
    parser.add_argument("--vision", help="folder of its CLIP, for kinds that do not hold it")
    parser.add_argument("--llm", help="folder of the language model, for LLaVA's mm_projector.bin")
    parser.add_argument("--base", help="folder of the language model that delta weights are added to")
    parser.add_argument("--text", help="folder of a GroundingDINO's text encoder (bert-base-uncased)")
    parser.add_argument(
        "--attention-heads", type=COUNT, help="of a GroundingDINO whose file does not tell (its `nheads`)"
    )
    parser.add_argument("--sam-heads", type=COUNT, help="of the mask decoder's attention; default: published SAM's")
    parser.add_argument("--trust", action="store_true", help="read pickles that may run code, DeepSpeed's folders")
    options = parser.parse(arguments)
    require(options.kind, KINDS)
    convert(options, source_of(options, parser, "source"))
    print(f"wrote {options.destination}")


def convert(options: Namespace, source: str) -> None:
    """Converts `source` by what reads its kind."""
    from ullava.models.convert.folder import convert, convert_sam
    from ullava.models.convert.projector import convert_projector
    from ullava.models.folders.hub import local_folder
    from ullava.models.weights.files import PICKLES

    source = local_folder(source, "source")
    for option in ("vision", "llm", "base", "text"):
        if name := getattr(options, option):
            setattr(options, option, local_folder(name, f"--{option}"))
    destination, trust = options.destination, options.trust
    if options.kind == "sam":
        convert_sam(source, destination, heads=options.sam_heads, trust=trust)
    elif options.kind == "groundingdino":
        from ullava.models.detectors.opening import convert as convert_detector

        convert_detector(source, destination, text=options.text, attention_heads=options.attention_heads)
    elif options.kind == "llava" and Path(source).suffix in (*PICKLES, ".safetensors"):
        if not (options.llm and options.vision):
            raise ValueError(f"{source}: a projector alone; say --llm FOLDER and --vision FOLDER")
        convert_projector(source, destination, llm=options.llm, vision=options.vision, trust=trust)
    else:
        convert(
            options.kind, source, destination, vision=options.vision, base=options.base, sam_heads=options.sam_heads,
            trust=trust,
        )  # fmt: skip


def require(kind: str, kinds: Sequence[str]) -> None:
    """Checks the name of a kind of checkpoint.

    Raises:
        LookupError: it is not one of `kinds`; names the nearest.
    """
    if kind not in kinds:
        raise LookupError(f"no kind of checkpoint {kind!r}; {nearest(kind, kinds)}")
