"""Pages: what comes from data is text on them, whatever it looks like, and what a template lacks is an error."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from PIL import Image

from ullava.datasets.masks import encode
from ullava.datasets.structures import Picture, Sample
from ullava.evaluation.report import best_worst
from ullava.evaluation.report.pages import Table, render
from ullava.evaluation.report.report import write_report

HOSTILE = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>&amp;"""
LEFT = encode(np.array([[1, 0]], bool))


class Page(HTMLParser):
    """The tags of a page, and the text of its elements; what stands in scripts apart."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.script = "", ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.script += data
        self.text += data


def check(page: Page, scripts: int) -> None:
    """Fails where an element or an attribute came out of the data."""
    assert sum(tag == "script" for tag, _ in page.tags) == scripts
    handlers = {"form": {"onsubmit"}}  # the page's own
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")} - handlers.get(tag, set())
        assert attributes.get("src") != "x"


@pytest.fixture
def template(tmp_path):
    """Writes a page of one's own, and fills it in."""

    def fill(body: str, **values) -> str:
        path = tmp_path / "own.html"
        path.write_text('{% extends "base.html" %}{% from "table.html" import table %}{% set sections = {} %}' + body)
        return render(path, title="A page", summary="", **values)

    return fill


def test_every_value_is_escaped_but_our_own_drawings(template):
    page = template("{% block main %}{{ a }}{{ b }}{% endblock %}", a="<i>'\"", b=Markup("<svg></svg>"))
    assert "&lt;i&gt;&#39;&#34;<svg></svg>" in page


def test_a_table_aligns_numbers_and_escapes_cells(template):
    page = template("{% block main %}{{ table(it) }}{% endblock %}", it=Table(("<a>", "b"), [("c&", 1)], numbers=(1,)))
    assert '<th>&lt;a&gt;</th><th class="n">b</th>' in page
    assert '<td>c&amp;</td><td class="n">1</td>' in page


def test_a_value_that_is_not_given_is_an_error(template):
    with pytest.raises(UndefinedError, match="'lost' is undefined"):
        template("{% block main %}{{ lost }}{% endblock %}")


def test_nothing_in_the_data_of_a_report_becomes_a_tag(tmp_path, monkeypatch):
    Image.new("RGB", (2, 1)).save(tmp_path / "a.png")
    name = f"toy/{HOSTILE}"
    monkeypatch.setattr(best_worst, "open_dataset", lambda *_: [Sample(name, (Picture(tmp_path / "a.png"),))])
    side = {"masks": [LEFT], "boxes": [], "text": [HOSTILE], "answer": "[SEG]"}
    line = {"id": f"{name}#0", "dataset": HOSTILE, "task": HOSTILE, "answers": "generated", "question": HOSTILE,
            "answer": HOSTILE, "truth": side, "predicted": side | {"source": HOSTILE}, "metrics": {}}  # fmt: skip
    (tmp_path / "predictions.jsonl").write_text(json.dumps(line) + "\n")
    row = {"dataset": HOSTILE, "task": "vqa", "answers": "generated", "protocol": "ullava", "boxes": HOSTILE,
           "count": 1, "metrics": {"accuracy": 0.5, HOSTILE: 0.25}, "interval": {}, "seconds": 1.0}  # fmt: skip
    rows = [row | {"model": model} for model in ("base" + HOSTILE, "later" + HOSTILE)]
    run = {"model": HOSTILE, "base": "base" + HOSTILE}
    (tmp_path / "results.json").write_text(json.dumps({"rows": rows, "run": run}))
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 1, "loss": 1.0, f"learning_rate/{HOSTILE}": 1.0}) + "\n")
    parts = [{"part": HOSTILE, "rate": 1.0, "learning": 1, "frozen": 0}]
    (tmp_path / "learn.json").write_text(json.dumps(parts))
    files = (tmp_path / file for file in ("report.html", "results.json", "predictions.jsonl"))
    output = write_report(*files, {HOSTILE: tmp_path}, {}, commands=[HOSTILE], title=HOSTILE)
    page = Page(output.read_text())
    check(page, scripts=2)
    assert page.text.count(HOSTILE) >= 20  # title, summary, scores, figure, stage, parts, commands ...
    (entry,) = json.loads(page.script.partition('"use strict"')[0])
    assert entry["question"] == entry["answer"] == entry["truth"] == HOSTILE
