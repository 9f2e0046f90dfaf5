"""Every answer on the page: what is wrong with it, and a browser that sorts, filters and sees the pictures."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.masks import encode
from ullava.datasets.structures import Picture, Sample
from ullava.evaluation.report import best_worst
from ullava.evaluation.report.all_answers import all_answers
from ullava.evaluation.report.answer_defects import answer_defects
from ullava.evaluation.report.report import write_report

SAYS = "Sure. Mask: [SEG]."
LEFT, RIGHT, NONE = (encode(np.array(rows, bool)) for rows in ([[1, 0]], [[0, 1]], [[0, 0]]))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


def line(name, predicted, *, answer=SAYS, task="res", readable=True, truth=LEFT, **more):
    true = {"masks": [truth], "boxes": [], "text": [], "answer": SAYS}
    said = {"masks": [predicted], "boxes": [], "text": None, "readable": readable}
    head = {"id": name, "dataset": "toy", "task": task, "answers": "generated", "question": "where?"}
    return {**head, "answer": answer, "truth": true, "predicted": said, "metrics": {}, **more}


@pytest.mark.parametrize(
    "said, kinds",
    [
        (line("a", LEFT), []),
        (line("a", RIGHT), ["missed"]),
        (line("a", NONE), ["empty mask"]),
        (line("a", NONE, truth=NONE), []),  # an empty answer to an empty truth is right
        (line("a", None, answer="I see nothing", readable=False), ["no token", "unparseable"]),
        (line("a", LEFT, answer="Sure. Mask: [SEG]; [SEG]."), ["wrong count"]),
        (line("a", LEFT, answer="[SEG]", readable=False), ["unparseable"]),
    ],
)
def test_what_is_wrong_with_an_answer_has_a_name(said, kinds):
    assert answer_defects(said) == kinds


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Sixty answers: one right, one that says nothing, and others that are wrong; two rows."""
    Image.fromarray(np.full((1, 2, 3), 90, np.uint8)).save(tmp_path / "a.png")
    samples = [Sample(f"toy/{n:02}", (Picture(tmp_path / "a.png"),)) for n in range(60)]
    monkeypatch.setattr(best_worst, "open_dataset", lambda name, task, own: samples)
    lines = [line(f"toy/{n:02}#0", RIGHT) for n in range(2, 40)]
    lines += [line("toy/00#0", LEFT), line("toy/01#0", None, answer="</script><b>no", readable=False)]
    lines += [line(f"toy/{n}#0", LEFT, task="salient") for n in range(40, 60)]
    lines += [line("toy/00#0", RIGHT, dataset="toy_shuffled")]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (tmp_path / "results.json").write_text(json.dumps({"rows": [], "run": {}}))
    return tmp_path


def test_the_worst_come_first_and_with_their_pictures(toy):
    entries = all_answers(toy / "predictions.jsonl", {}, pictures=3)
    assert len(entries) == 60 and [entry["score"] for entry in entries] == [0.0] * 39 + [1.0] * 21
    shown = [entry["id"] for entry in entries if any(entry["pictures"])]
    assert shown == ["toy/01#0", "toy/02#0", "toy/03#0", "toy/40#0", "toy/41#0", "toy/42#0"]


def browsed(page, act: str) -> str:
    """The page as a browser has it after a script that does what a user would."""
    acted = page.with_name("acted.html")
    acted.write_text(page.read_text().replace("</body>", f"<script>{act}</script></body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--dump-dom", "--virtual-time-budget=2000"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run([*command, profile, acted.as_uri()], capture_output=True, text=True, timeout=120).stdout


def seen(page, act: str) -> str:
    """The cards of the page, and how many there are, after a user has done something."""
    text = browsed(page, act)
    cards = text.partition('id="cards"')[2].partition('id="more"')[0]
    return cards + text.partition('id="counted"')[2][:60]


@needs_a_browser
def test_a_browser_sorts_filters_and_sees_the_pictures(toy):
    page = write_report(toy / "report.html", toy / "results.json", toy / "predictions.jsonl", {}, {}, pictures=30)

    def choose(**values):
        words = "".join(f"document.getElementById('{k}').value = '{v}';" for k, v in values.items())
        text = seen(page, words + "document.getElementById('order').dispatchEvent(new Event('input'));"
                    "for (const one of document.querySelectorAll('#cards img'))"
                    " if (!one.complete || !one.naturalWidth) one.remove();")  # fmt: skip
        ids = re.findall(r'data-id="([^"]+)"', text)
        return ids, re.search(r">(\d+ of \d+) answers", text).group(1), text

    ids, counted, text = choose()
    assert counted == "60 of 60" and len(ids) == 24 and ids[0] == "toy/01#0"
    assert "&lt;/script&gt;&lt;b&gt;no" in text and "no token" in text and text.count("<img") == 48
    ids, counted, _ = choose(order="best")
    assert counted == "60 of 60" and ids[0] == "toy/00#0"
    assert choose(defect="no token")[:2] == (["toy/01#0"], "1 of 60")
    assert choose(task="salient", order="id", words="TOY/4")[:2] == ([f"toy/4{n}#0" for n in range(10)], "10 of 60")
    assert choose(low="0.5", task="res")[:2] == (["toy/00#0"], "1 of 60")


@needs_a_browser
def test_a_browser_draws_the_histogram_of_what_is_chosen_and_the_curves_of_a_training(toy):
    log = [{"step": i, "loss": 2.0 / i, "lm": 1.0 / i, "learning_rate/heads": 1e-3} for i in range(1, 9)]
    (toy / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    files = [toy / name for name in ("report.html", "results.json", "predictions.jsonl")]
    page = write_report(*files, {"stage": toy}, {}, pictures=1)
    act = """
      const bars = () => [...document.querySelectorAll('#histogram rect title')].map((one) => one.textContent);
      const before = bars();
      document.getElementById('task').value = 'salient';
      document.getElementById('task').dispatchEvent(new Event('input'));
      const wide = [...document.querySelectorAll('#training polyline')].map((one) => one.getBBox().width);
      document.body.dataset.found = JSON.stringify({before, after: bars(), wide});"""
    text = browsed(page, act)
    found = json.loads(html.unescape(re.search(r'data-found="([^"]+)"', text).group(1)))
    counts = {when: [int(said.partition(": ")[2]) for said in found[when]] for when in ("before", "after")}
    assert counts["before"] == [39] + [0] * 18 + [21] and counts["after"] == [0] * 19 + [20]
    assert len(found["wide"]) == 5 and min(found["wide"]) > 100  # loss and lm with their means, the learning rate
