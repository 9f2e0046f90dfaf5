"""`ullava convert` and `ullava export`: published checkpoints in, published checkpoints out."""

import argparse
from pathlib import Path

from ullava.configs.registry import nearest

KINDS_IN = ("sam", "groundingdino", "llava", "ullava_v1", "ullava", "lisa", "lasagna", "keyseg")
KINDS_OUT = ("sam", "ullava_v1", "ullava")


def convert(arguments: list[str]) -> str:
    """Writes a published checkpoint as a folder of ours; says what it wrote."""
    parser = argparse.ArgumentParser(prog="ullava convert", description=convert.__doc__)
    parser.add_argument("kind", help=", ".join(KINDS_IN))
    parser.add_argument("source", help="its folder or file")
    parser.add_argument("destination", help="folder to write; what `model.llm`, eval and infer take")
    parser.add_argument("--vision", help="folder of its CLIP, for kinds that do not hold it")
    parser.add_argument("--llm", help="folder of the language model, for LLaVA's mm_projector.bin")
    parser.add_argument("--base", help="folder of the language model that delta weights are added to")
    parser.add_argument("--text", help="folder of a GroundingDINO's text encoder (bert-base-uncased)")
    parser.add_argument(
        "--attention-heads", type=int, help="of a GroundingDINO whose file does not tell (its `nheads`)"
    )
    parser.add_argument("--sam-heads", type=int, help="of the mask decoder's attention; default: published SAM's")
    parser.add_argument("--trust", action="store_true", help="read pickles that may run code, DeepSpeed's folders")
    options = parser.parse_args(arguments)
    check(options.kind, KINDS_IN)
    from ullava.models.convert.folder import convert as write
    from ullava.models.convert.folder import convert_sam
    from ullava.models.convert.projector import convert_projector
    from ullava.models.weights.files import PICKLES

    source, destination, trust = options.source, options.destination, options.trust
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
        write(
            options.kind, source, destination, vision=options.vision, base=options.base, sam_heads=options.sam_heads,
            trust=trust,
        )  # fmt: skip
    return f"wrote {destination}"


def export(arguments: list[str]) -> str:
    """Writes our weights back as they are published; says what it wrote."""
    parser = argparse.ArgumentParser(prog="ullava export", description=export.__doc__)
    parser.add_argument("kind", help=", ".join(KINDS_OUT))
    parser.add_argument("source", help="a merged folder; for sam also a run, or a SAM's folder or file")
    parser.add_argument("destination", help="file to write for sam (.pth), else a folder")
    options = parser.parse_args(arguments)
    check(options.kind, KINDS_OUT)
    from ullava.models.convert.export import export_sam, export_ullava

    if options.kind == "sam":
        export_sam(options.source, options.destination)
    else:
        export_ullava(options.source, options.destination, options.kind)
    return f"wrote {options.destination}"


def check(kind: str, known: tuple[str, ...]) -> None:
    """Says which kinds there are.

    Raises:
        LookupError: not this one.
    """
    if kind not in known:
        raise LookupError(f"no kind of checkpoint {kind!r}; {nearest(kind, known)}")
