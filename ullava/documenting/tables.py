"""Tables of keys in Markdown: what may stand there, what stands there if nobody says, and what it means."""

import html
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "anything", Path: "path"}
BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
REQUIRED = "required"


@dataclass(frozen=True)
class Key:
    """One line of a table.

    Attributes:
        name: of the key.
        kind: what may stand there, in words.
        default: as YAML, "required", or "" where the docstring has to say it.
        meaning: Markdown, without a full stop of its own.
    """

    name: str
    kind: str
    default: str
    meaning: str


def table(keys: Iterable[Key]) -> str:
    """The lines of a Markdown table, or "" where there are no keys."""
    rows = []
    for key in keys:
        default = "**required**" if key.default == REQUIRED else cell(f"`{key.default}`") if key.default else ""
        rows.append(f"| `{key.name}` | {cell(key.kind)} | {default} | {cell(key.meaning)} |")
    return "\n".join(["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows]) if rows else ""


def cell(text: str) -> str:
    """Plain text of a docstring as Markdown inside a table: nothing ends the cell, begins HTML, or leans."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # a backquote without its partner
        pieces = [text.replace("`", "'")]
    plain = [piece.replace("<", "&lt;").replace("*", "\\*").replace("|", "&#124;") for piece in pieces[::2]]
    code = [f"<code>{html.escape(piece).replace('|', '&#124;')}</code>" if "|" in piece else f"`{piece}`"
            for piece in pieces[1::2]]  # fmt: skip
    return "".join(part for pair in zip_longest(plain, code, fillvalue="") for part in pair)


def in_words(hint: Any, links: Mapping[type, str] | None = None) -> str:
    """A type as a user reads it: "`sdpa`, `eager`", "list of text", "number or null".

    Args:
        hint: a type annotation.
        links: classes that have a section of their own -> its Markdown link.
    """
    links = links or {}
    origin, parts = get_origin(hint), get_args(hint)
    if hint in links:
        return links[hint]
    if origin is Annotated and type(None) in get_args(parts[0]):  # the bounds are of the number
        number = Union[tuple(part for part in get_args(parts[0]) if part is not type(None))]  # noqa: UP007
        return f"{in_words(Annotated[number, *parts[1:]], links)} or null"
    if origin is Annotated:
        bounds = [f"{sign} {getattr(bound, name)}" for bound in parts[1:] for name, sign in BOUNDS.items()
                  if hasattr(bound, name)]  # fmt: skip
        return " ".join([in_words(parts[0], links), *bounds])
    if origin is Literal:
        return ", ".join(f"`{written(value)}`" for value in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(part, links) for part in parts)
    if hint is type(None):
        return "null"
    if origin is tuple and parts[-1] is not Ellipsis:
        return f"list of {len(parts)}: {in_words(parts[0], links)}"
    if origin in (tuple, list, Sequence) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return f"list of {in_words(parts[0], links)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {in_words(parts[0], links)} to {in_words(parts[1], links)}"
    return PLAIN.get(hint, getattr(hint, "__name__", str(hint)))


def written(value: Any) -> str:
    """A value as it stands in YAML, on one line."""
    if isinstance(value, tuple):
        value = list(value)
    if hasattr(value, "model_dump"):
        return "{}"  # a section whose keys have defaults of their own
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).strip()
    return text.removesuffix("...").strip()
