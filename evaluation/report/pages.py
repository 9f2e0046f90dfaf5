"""What our pages have in common: one look, one kind of table. A page is one file that needs no network.

Jinja2 fills them in and escapes every value; only what is `Markup` already, our own drawings and scripts, is not.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent  # base.html, which pages extend, and table.html


@dataclass(frozen=True, slots=True)
class Table:
    """A table, as `table.html` writes it.

    Attributes:
        head: the names of the columns.
        body: rows of as many cells.
        numbers: columns that are aligned to the right.
    """

    head: Sequence[str]
    body: Sequence[Sequence[Any]]
    numbers: Collection[int] = ()


def render(template: Path, **values: Any) -> str:
    """A page from its template, which extends `base.html`.

    Args:
        template: the file; templates beside it may be included, too.
        values: `title`, `summary`, and what the template names.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment.get_template(template.name).render(values)
