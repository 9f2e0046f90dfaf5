"""check.html: what stands on it, and that nothing in the data becomes a tag."""

from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from ullava.checking.data_issues import DataIssue
from ullava.checking.datasets import Inspected
from ullava.checking.page import CLASSES, LISTED, Checked, html
from ullava.checking.pictures import DrawnExample, Piece

HOSTILE = """</p><script>alert(1)</script>"'><img src=x onerror=alert(2)>&amp;"""


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def inspected(name: str) -> Inspected:
    """A row of the YAML with two records, one of which was looked at whole."""
    looked = [
        SimpleNamespace(deep=deep, paths=(), length=9, phrases=1, turns=0, over=False, record=str(deep))
        for deep in (True, False)
    ]
    count = SimpleNamespace(records=2, pictures=2, phrases=3, turns=0)
    row = SimpleNamespace(dataset=name, task=name)
    return SimpleNamespace(
        opened=SimpleNamespace(place=f"data {name}", row=row, count=count, reader=SimpleNamespace()),
        looked=looked, lengths=np.array([9, 30]),
    )  # fmt: skip


@pytest.fixture
def checked():
    """Makes what a check found; keywords change it."""

    def make(name: str = "toy", **changes) -> Checked:
        example = DrawnExample(
            name, ((name, "data:image/jpeg;base64,AA"),),
            (Piece(name, False), Piece("said ", True), Piece("[SEG]", True, 0)), 12,
        )  # fmt: skip
        facts = {
            "yaml": f"{name}.yaml", "depth": "whole", "sample": 0, "faults": (name,),
            "issues": (DataIssue("missing", name, name, f"{name}: {name} is not there"),),
            "inspected": (inspected(name),), "draws": (4,), "tasks": {name: 4}, "classes": {name: 3.0},
            "examples": ((name, example),), "most": 20, "note": name,
        }  # fmt: skip
        return Checked(**(facts | changes))

    return make


@pytest.fixture(autouse=True)
def exclude_nothing(monkeypatch):
    monkeypatch.setattr("ullava.checking.page.dropped", lambda reader: 0)
    monkeypatch.setattr("ullava.checking.page.share_over", lambda inspected, most: 0.5)


def test_nothing_in_the_data_becomes_a_tag(checked):
    page = Page(html(checked(HOSTILE)))
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    (picture,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert picture["alt"] == f"{HOSTILE}, {HOSTILE}" and picture["src"].startswith("data:")
    # note, fault, issue (3), row (3), chart, class, example's place, panel, id and text; the title has a file's name alone
    assert page.text.count(HOSTILE) == 14


def test_the_text_of_an_example_stands_as_it_was_written(checked):
    pieces = (Piece("USER: a\n  b", False), Piece("Sure ", True), Piece("[SEG]", True, 0), Piece(".", True))
    example = DrawnExample("toy/1", (), pieces, None)
    page = html(checked(examples=(("data[0]", example),)))
    expected = '<p class="text">USER: a\n  b<b>Sure </b><i style="background:#e69f00">[SEG]</i><b>.</b></p>'
    assert expected in page  # pre-wrap: no blank of the template's own may stand between pieces


def test_what_was_found_is_counted_and_cut(checked):
    issues = tuple(DataIssue("missing", "toy", f"toy/{n}", f"toy/{n}: gone") for n in range(LISTED + 3))
    classes = {f"class {n}": 1.0 for n in range(CLASSES + 2)}
    page = Page(html(checked(issues=issues, classes=classes, faults=())))
    words = " ".join(page.text.split())
    assert f"missing files {LISTED + 3}" in words and "3 more are in check.json." in words
    assert f"{CLASSES + 2} classes, by the regions that an epoch shows, {CLASSES} of them here" in words
    assert "2 records in 1 rows, 1 of them looked at whole: 203 faults. toy" in words
    assert "50.0%" in words and "4 dialogues; the longest bar is the most frequent task." in words


def test_a_sound_run_says_so(checked):
    nothing = {"issues": (), "faults": (), "tasks": {}, "classes": {}, "examples": (), "note": ""}
    words = " ".join(Page(html(checked(**nothing))).text.split())
    assert "Faults None." in words and "Nothing is mixed here." in words and "no record is sound." in words
    assert "looked at whole: 0 faults." in words
