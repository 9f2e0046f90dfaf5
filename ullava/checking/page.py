"""Writes what a check found: `check.json` for programs, `check.html` for people, one file that needs no network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ullava.checking.data_issues import ISSUES, DataIssue
from ullava.checking.datasets import Inspected, share_over
from ullava.checking.pictures import DrawnExample, paint
from ullava.datasets.exclude import dropped
from ullava.evaluation.report.charts import Bar, bars
from ullava.evaluation.report.pages import Table, render

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


@dataclass(frozen=True, slots=True)
class IssueGroup:
    """The issues of one kind, as the page shows them.

    Attributes:
        heading: what is wrong.
        fails: whether `ullava check` fails for them.
        count: of all of them.
        issues: the first `LISTED` ones; `more` so many follow in check.json.
    """

    heading: str
    fails: bool
    count: int
    issues: Table
    more: int


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
        "findings": [finding(issue) for issue in checked.issues],
        "datasets": list(datasets(checked)), "tasks": dict(checked.tasks), "classes": dict(checked.classes),
    }  # fmt: skip


def finding(issue: DataIssue) -> dict[str, Any]:
    """An issue as check.json holds it."""
    return {
        "kind": issue.kind, "dataset": issue.dataset, "record": issue.record, "said": issue.message,
        "fails": issue.fails,
    }  # fmt: skip


def datasets(checked: Checked) -> Iterator[dict[str, Any]]:
    """Yields what is known of each row of the YAML."""
    draws = iter(checked.draws)
    for inspected in checked.inspected:
        opened, count = inspected.opened, inspected.opened.count
        yield {
            "place": opened.place, "dataset": opened.row.dataset, "task": opened.row.task,
            **{key: getattr(count, key) for key in COUNTED}, "excluded": dropped(opened.reader),
            "looked_at_whole": sum(looked.deep for looked in inspected.looked),
            "draws": next(draws, None) if opened.place.startswith("data") else None,
            "longest": int(inspected.lengths.max()) if len(inspected.lengths) else None,
            "share_over_max_length": share_over(inspected, checked.most),
            "findings": sum(issue.dataset == opened.row.dataset for issue in checked.issues),
        }  # fmt: skip


def html(checked: Checked) -> str:
    """The page."""
    return render(
        TEMPLATE,
        title=f"Checked: {Path(checked.yaml).name}",
        summary=summary(checked),
        faults=Table(("fault",), [(fault,) for fault in checked.faults]) if checked.faults else None,
        issues=list(issue_groups(checked)),
        datasets=dataset_table(checked),
        dialogues=sum(checked.tasks.values()),
        tasks=task_chart(checked.tasks),
        class_count=len(checked.classes),
        classes=class_table(checked.classes),
        examples=checked.examples,
        paint=paint,
    )


def summary(checked: Checked) -> str:
    """One or two sentences: what was looked at and found."""
    records = sum(inspected.opened.count.records for inspected in checked.inspected)
    whole = sum(looked.deep for inspected in checked.inspected for looked in inspected.looked)
    failing = len(checked.faults) + sum(issue.fails for issue in checked.issues)
    others = sum(not issue.fails for issue in checked.issues)
    counts = f"{records} records in {len(checked.inspected)} rows, {whole} of them looked at whole: {failing} faults"
    also = f", {others} pictures that are trained on and evaluated" if others else ""
    return f"{counts}{also}. {checked.note}".rstrip()


def issue_groups(checked: Checked) -> Iterator[IssueGroup]:
    """Yields the issues of each kind."""
    for kind, group in groupby(checked.issues, key=lambda issue: issue.kind):
        issues = list(group)
        rows = [(issue.dataset, issue.record, issue.message.removeprefix(f"{issue.record}: ")) for issue in issues]
        listed = Table(("dataset", "record", "found"), rows[:LISTED])
        yield IssueGroup(ISSUES[kind], issues[0].fails, len(issues), listed, max(0, len(issues) - LISTED))


def dataset_table(checked: Checked) -> Table:
    """What is known of each row of the YAML."""
    head = ("", "dataset", "task", *COUNTED, "excluded", "whole", "draws", "longest", f"over {checked.most}", "faults")
    body = []
    for row in datasets(checked):
        share = row["share_over_max_length"]
        cells = row | {"share_over_max_length": None if share is None else f"{share:.1%}"}
        body.append(["" if cell is None else cell for cell in cells.values()])
    return Table(head, body, numbers=range(3, len(head)))


def task_chart(tasks: Mapping[str, int]) -> Markup:
    """Tasks by the dialogues of one epoch, as a drawing; empty where nothing is mixed."""
    if not tasks:
        return Markup()
    whole, most = sum(tasks.values()), max(tasks.values())
    return Markup(bars([Bar(name, count / most, f"{count} ({count / whole:.0%})") for name, count in tasks.items()]))


def class_table(classes: Mapping[str, float]) -> Table | None:
    """Classes by the regions of one epoch, the first `CLASSES` of them; None where there are none."""
    rows = [(name, f"{count:.0f}") for name, count in classes.items()]
    return Table(("class", "regions"), rows[:CLASSES], numbers=(1,)) if rows else None


def lines(entries: Sequence[Any], most: int) -> list[str]:
    """At most so many of a list, and how many more there are."""
    more = [f"... and {len(entries) - most} more"] if len(entries) > most else []
    return [*map(str, entries[:most]), *more]
