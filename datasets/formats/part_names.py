"""The name of a part of an object: "handle of the mug". PACO and PASCAL-Part write it "mug:handle"."""

import re

COMMENT = re.compile(r"_\(.*")  # LVIS tells words of two meanings apart: mouse_(computer_equipment)


def join(part: str, whole: str) -> str:
    """The part and its object as one name."""
    return f"{part} of the {whole}"


def split(name: str) -> tuple[str, str] | None:
    """Inverse of `join`: (part, object); also of "mug:handle". None where a name is not that of a part."""
    if ":" in name:
        whole, part = (COMMENT.sub("", word).replace("_", " ").strip() for word in name.split(":", 1))
    else:
        part, _, whole = name.strip().removeprefix("the ").partition(" of the ")
    return (part, whole) if part and whole else None
