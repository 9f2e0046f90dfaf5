"""What our pages have in common: one head, one look, one kind of table. A page is one file that needs no network."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

HEAD = Path(__file__).with_name("head.html")


def fill(template: Path, title: str, **parts: Any) -> str:
    """A page from its template, which begins with `$head`; `parts` are HTML, `title` is text."""
    title = escape(title)
    head = Template(HEAD.read_text(encoding="utf-8")).substitute(title=title)
    return Template(template.read_text(encoding="utf-8")).substitute(parts, head=head, title=title)


def table(head: Sequence[str], body: Iterable[Sequence[Any]], numbers: Sequence[int] = ()) -> str:
    """An HTML table; the columns in `numbers` are aligned to the right."""

    def cells(tag: str, row: Sequence[Any]) -> str:
        kinds = [' class="n"' if i in numbers else "" for i in range(len(row))]
        return "".join(f"<{tag}{kind}>{escape(str(cell))}</{tag}>" for kind, cell in zip(kinds, row, strict=True))

    rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in body)
    return f'<div class="wide"><table><thead><tr>{cells("th", head)}</tr></thead><tbody>{rows}</tbody></table></div>'
