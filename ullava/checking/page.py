"""Writes what a check found: `check.json` for programs, `check.html` for people, one file that needs no network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from ullava.checking.data_issues import ISSUES, DataIssue
from ullava.checking.datasets import Inspected, share_over
from ullava.checking.pictures import DrawnExample, Piece, paint
from ullava.datasets.exclude import dropped
from ullava.evaluation.report.charts import Bar, bars
from ullava.evaluation.report.pages import fill, table

TEMPLATE = Path(__file__).with_name("check.html")
LISTED = 200  # faults of a kind on the page; check.json holds all
CLASSES = 40  # on the page, from the most shown on; check.json holds all
COUNTED = ("records", "pictures", "phrases", "turns")


@dataclass(frozen=True)
class Checked:
    """All that a check found.

    Attributes:
        yaml, depth, sample: what was looked at, and how.
        faults: of the YAML itself, a line each.
        issues: in the data.
        draws: dialogues that an epoch takes from each row of `data`; empty where that is not known.
        tasks, classes: what an epoch asks, from the most on.
        examples: (place in the YAML, record).
        most: training.max_length.
        note: why no lengths are known, "" where they are.
    """

    yaml: str
    depth: str
    sample: int
    faults: tuple[str, ...]
    issues: tuple[DataIssue, ...]
    inspected: tuple[Inspected, ...]
    draws: tuple[int, ...]
    tasks: Mapping[str, int]
    classes: Mapping[str, float]
    examples: tuple[tuple[str, DrawnExample], ...]
    most: int
    note: str = ""


def write(checked: Checked, folder: Path) -> tuple[Path, Path]:
    """Writes check.json and check.html into `folder`, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "check.json", folder / "check.html"
    data.write_text(json.dumps(tree(checked), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text(html(checked), encoding="utf-8")
    return data, page


def tree(checked: Checked) -> dict[str, Any]:
    """What check.json holds."""
    return {
        "yaml": checked.yaml, "depth": checked.depth, "sample": checked.sample if checked.depth == "sample" else None,
        "max_length": checked.most, "note": checked.note, "faults": list(checked.faults),
        "findings": [asdict(finding) | {"fails": finding.fails} for finding in checked.issues],
        "datasets": list(datasets(checked)), "tasks": dict(checked.tasks), "classes": dict(checked.classes),
    }  # fmt: skip


def datasets(checked: Checked) -> Iterator[dict[str, Any]]:
    """Yields what is known of each row of the YAML."""
    draws = iter(checked.draws)
    for one in checked.inspected:
        opened, count = one.opened, one.opened.count
        yield {
            "place": opened.place, "dataset": opened.row.dataset, "task": opened.row.task,
            **{key: getattr(count, key) for key in COUNTED}, "excluded": dropped(opened.reader),
            "looked_at_whole": sum(looked.deep for looked in one.looked),
            "draws": next(draws, None) if opened.place.startswith("data") else None,
            "longest": int(one.lengths.max()) if len(one.lengths) else None,
            "share_over_max_length": share_over(one, checked.most),
            "findings": sum(finding.dataset == opened.row.dataset for finding in checked.issues),
        }  # fmt: skip


def html(checked: Checked) -> str:
    """The page."""
    return fill(
        TEMPLATE,
        f"Checked: {Path(checked.yaml).name}",
        summary=escape(summary(checked)),
        faults="\n".join(write_faults(checked)) or '<p class="good">None.</p>',
        datasets=write_datasets(checked),
        balance=write_balance(checked),
        examples="\n".join(f"<h3>{escape(place)}</h3>{write_example(one)}" for place, one in checked.examples)
        or "<p>None: nothing was looked at whole, or no record is sound.</p>",
    )


def summary(checked: Checked) -> str:
    """One or two sentences: what was looked at and found."""
    records = sum(one.opened.count.records for one in checked.inspected)
    whole = sum(looked.deep for one in checked.inspected for looked in one.looked)
    failing = len(checked.faults) + sum(finding.fails for finding in checked.issues)
    others = sum(not finding.fails for finding in checked.issues)
    said = f"{records} records in {len(checked.inspected)} rows, {whole} of them looked at whole: {failing} faults"
    return (
        said
        + (f", {others} pictures that are trained on and evaluated." if others else ".")
        + (f" {checked.note}" if checked.note else "")
    )


def write_faults(checked: Checked) -> Iterator[str]:
    """Yields the YAML's faults, then a table of each kind of finding."""
    if checked.faults:
        yield "<h3>In the YAML</h3>" + table(("fault",), [(line,) for line in checked.faults])
    for kind, group in groupby(checked.issues, key=lambda finding: finding.kind):
        found = list(group)
        tone = "bad" if found[0].fails else "soft"
        yield f'<h3>{escape(ISSUES[kind])} <span class="{tone}">{len(found)}</span></h3>'
        rows = [(one.dataset, one.record, one.said.removeprefix(f"{one.record}: ")) for one in found[:LISTED]]
        yield table(("dataset", "record", "found"), rows)
        if len(found) > LISTED:
            yield f'<p class="soft">{len(found) - LISTED} more are in check.json.</p>'


def write_datasets(checked: Checked) -> str:
    """The table of rows."""
    head = ("", "dataset", "task", *COUNTED, "excluded", "whole", "draws", "longest", f"over {checked.most}", "faults")
    body = []
    for row in datasets(checked):
        share = row["share_over_max_length"]
        cells = list(row.values())
        cells[-2] = None if share is None else f"{share:.1%}"
        body.append(["" if cell is None else cell for cell in cells])
    return table(head, body, numbers=range(3, len(head)))


def write_balance(checked: Checked) -> str:
    """Tasks by dialogues, and classes by regions, of one epoch."""
    if not checked.tasks:
        return "<p>Nothing is mixed here.</p>"
    whole, most = sum(checked.tasks.values()), max(checked.tasks.values())
    lines = [Bar(name, count / most, f"{count} ({count / whole:.0%})") for name, count in checked.tasks.items()]
    parts = [f"<p>{whole} dialogues; the longest bar is the most frequent task.</p>"]
    parts.append(bars(lines).replace("<svg", '<svg class="bars"', 1))
    if checked.classes:
        rest = f", {CLASSES} of them here" if len(checked.classes) > CLASSES else ""
        parts.append(f"<h3>{len(checked.classes)} classes, by the regions that an epoch shows{rest}</h3>")
        shown = list(checked.classes.items())[:CLASSES]
        parts.append(table(("class", "regions"), [(name, f"{count:.0f}") for name, count in shown], numbers=(1,)))
    return "\n".join(parts)


def write_example(one: DrawnExample) -> str:
    """A record's pictures and its text."""
    pair = "".join(
        f'<div><img src="{uri}" alt="{escape(f"{one.id}, {name}")}" loading="lazy"><span>{escape(name)}</span></div>'
        for name, uri in one.panels
    )
    tokens = "" if one.length is None else f'<span class="kind">{one.length} tokens</span>'
    text = "".join(map(write_piece, one.pieces))
    words = f'{tokens}<span class="soft">{escape(one.id)}</span><p class="text">{text}</p>'
    return f'<figure><div class="pair">{pair}</div><figcaption>{words}</figcaption></figure>'


def write_piece(piece: Piece) -> str:
    """A stretch of text: what is supervised on green, an owner token in its promise's colour."""
    if piece.promise is not None:
        return f'<i style="background:{paint(piece.promise)}">{escape(piece.text)}</i>'
    return f"<b>{escape(piece.text)}</b>" if piece.supervised else escape(piece.text)


def lines(found: Sequence[Any], most: int) -> list[str]:
    """At most so many of a list, and how many more there are."""
    return [str(one) for one in found[:most]] + ([f"... and {len(found) - most} more"] if len(found) > most else [])
