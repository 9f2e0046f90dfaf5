"""The page of a run of one drawn picture: small enough to say by hand what has to stand on it."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.structures import Picture, Sample
from ullava.evaluation.engine.predictions import encode
from ullava.evaluation.report import best_worst
from ullava.evaluation.report.best_worst import box_iou, choose, mask_iou, quality, texts, word_f1
from ullava.evaluation.report.charts import Bar, bars, ceiling, curve, running_mean
from ullava.evaluation.report.report import write_report

NOTHING = {"masks": [], "boxes": [], "text": None}


def draw(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


LEFT, RIGHT = encode(draw("##..", "##..")), encode(draw("..##", "..##"))


def line(name: str, task: str, truth: dict, predicted: dict, **more) -> dict:
    said = {"id": name, "dataset": "toy", "task": task, "answers": "generated", "question": "where <is> it?"}
    sides = {"answer": "It is [SEG].", "truth": NOTHING | truth, "predicted": NOTHING | predicted, "metrics": {}}
    return said | sides | more


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A dataset of five samples with one picture, in place of a catalogue."""
    Image.fromarray(np.full((2, 4, 3), 90, np.uint8)).save(tmp_path / "a.png")
    reader = [Sample(f"toy/{i}", (Picture(tmp_path / "a.png"),)) for i in range(5)]
    monkeypatch.setattr(best_worst, "open_dataset", lambda name, task, own: reader)
    return tmp_path


def write(folder, lines) -> str:
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Page(HTMLParser):
    """Collects tags, and checks that they close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "input", "line", "rect", "circle", "path", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_quality_is_the_mean_iou_of_masks_and_a_missing_one_counts_nothing():
    # The first agrees, the second is missing: (1 + 0) / 2.
    assert quality(line("a", "res", {"masks": [LEFT, RIGHT]}, {"masks": [LEFT, None]})) == 0.5
    assert quality(line("a", "res", {"masks": [LEFT, RIGHT]}, {"masks": [LEFT]})) == 0.5


def test_two_empty_masks_agree():
    empty = encode(draw("....", "...."))
    assert mask_iou(empty, empty) == 1.0
    assert mask_iou(empty, LEFT) == 0.0


def test_boxes_and_words():
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(2 / 6)
    assert box_iou((2, 2, 0, 0), (0, 0, 2, 2)) == 0.0
    # said 2 words, reference 3, two in common: 2 * 2 / 5
    assert word_f1("a cat", "a black cat") == pytest.approx(0.8)
    assert word_f1("A cat, here.", "a cat here") == 1.0
    assert texts(["ring", "ring", "circle"]) == ("ring", "circle")
    assert quality(line("a", "vqa", {"text": ["red", "blue"]}, {"text": "Blue"})) == 1.0


def test_best_median_and_worst_are_chosen_and_controls_are_left_out(toy):
    scores = {0: "a b c d", 1: "a", 2: "a b", 3: "x", 4: "a b c"}  # F1 with "a b c d": 1, .4, .67, 0, .86
    lines = [line(f"toy/{i}#0", "vqa", {"text": ["a b c d"]}, {"text": text}) for i, text in scores.items()]
    lines.append(line("toy/0#1", "vqa", {"text": ["a"]}, {"text": "q"}, dataset="toy_shuffled"))
    lines.append(line("toy/0#1", "vqa", {"text": ["a"]}, {"text": "q"}, answers="given"))
    chosen = choose(write(toy, lines), {})
    assert [(shown.rank, shown.line["id"]) for shown in chosen] == [
        ("best", "toy/0#0"), ("median", "toy/2#0"), ("worst", "toy/3#0"),
    ]  # fmt: skip


def test_a_single_answer_is_shown_once(toy):
    assert len(choose(write(toy, [line("toy/0#0", "vqa", {"text": ["a"]}, {"text": "a"})]), {})) == 1


def test_an_answer_about_a_lost_sample_is_an_error(toy):
    with pytest.raises(ValueError, match="toy/9: no such sample in dataset 'toy'"):
        choose(write(toy, [line("toy/9#0", "vqa", {"text": ["a"]}, {"text": "a"})]), {})


def test_the_page_stands_alone_and_says_what_was_measured(toy):
    row = {"dataset": "toy", "task": "res", "answers": "generated", "protocol": "ullava", "boxes": None, "count": 2,
           "metrics": {"gIoU": 0.625, "cIoU": None}, "interval": {"gIoU": [0.5, 0.75]}, "seconds": 1.5}  # fmt: skip
    trivial = row | {"dataset": "toy_trivial", "answers": "given", "metrics": {"gIoU": 0.25}}
    shuffled = row | {"dataset": "toy_shuffled", "metrics": {"gIoU": 0.1}}
    (toy / "results.json").write_text(json.dumps({"rows": [row, trivial, shuffled], "run": {"model": "runs/x"}}))
    write(toy, [line("toy/0#0", "res", {"masks": [LEFT]}, {"masks": [RIGHT]})])
    log = [{"step": i, "loss": 2.0 / i, "lm": 1.0 / i, "learning_rate/heads": 1e-3} for i in range(1, 9)]
    (toy / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    learned = [{"part": "heads", "rate": 1e-3, "learning": 1234, "frozen": 0}]
    (toy / "learn.json").write_text(json.dumps(learned))
    output, results, predictions = (toy / name for name in ("out/report.html", "results.json", "predictions.jsonl"))
    write_report(output, results, predictions, {"stage <II>": toy}, {}, commands=["ullava train --cfg_path x.yaml"])
    text = output.read_text()
    page = Page(text)
    assert page.open == []
    said = " ".join(page.texts)
    for words in (
        "0.62",
        "runs/x",
        "stage <II>",
        "where <is> it?",
        "1,234",
        "ullava train --cfg_path x.yaml",
        "gIoU 0.250",
    ):
        assert words in said
    assert not re.search(r"https?://|<script[^>]* src|<link|@import", text)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2 and all(image["src"].startswith("data:image/jpeg") and image["alt"] for image in images)
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) == 4  # scores, loss, lm, learning rate
    assert all(chart["aria-label"] for chart in charts)


def test_a_bar_is_as_long_as_its_value():
    chart = bars([Bar("res  gIoU", 0.5, "0.50", trivial=0.25)])
    assert 'width="220.0"' in chart  # half of 440 pixels
    assert 'class="trivial" d="M300.0 ' in chart  # 190 + 0.25 * 440
    assert "shuffled" not in chart


def test_a_curve_leaves_out_what_is_not_finite():
    assert "nan" not in curve("loss", {"loss": [(1, 2.0), (2, float("nan")), (3, 1.0)]})
    assert curve("loss", {"loss": [(1, float("nan"))]}) == ""
    assert "polyline" in curve("loss", {"loss": [(5, 0.0)]})


def test_axes_end_at_round_numbers():
    assert [ceiling(x) for x in (0, 0.9, 1, 1.1, 4.9, 7, 0.0021)] == pytest.approx([1, 1, 1, 2, 5, 10, 0.005])


def test_a_constant_is_its_own_running_mean():
    assert [y for _, y in running_mean([(i, 3.0) for i in range(50)])] == pytest.approx([3.0] * 50)
