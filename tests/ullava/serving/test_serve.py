"""The page of a model: asked as a browser asks it."""

import base64
import json
import shutil
import subprocess
from io import BytesIO
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Answer
from ullava.serving import chat, serve
from ullava.serving.serve import open_page, open_server

SAID = "Two: [SEG] and [SEG]."
LEFT, RIGHT = np.zeros((2, 4, 6), np.float32)
LEFT[1:3, 0:2] = RIGHT[0:2, 4:6] = 0.75


class Listener:
    """Notes what it is asked; points at two things."""

    generation = GenerationConfig()

    def __init__(self):
        self.heard = []

    def __call__(self, dialogues, *, given):
        self.heard += dialogues
        return [Answer(SAID, {"mask": (LEFT, RIGHT)})]


@pytest.fixture
def model():
    return Listener()


@pytest.fixture
def address(model, tmp_path):
    with open_page(model, tmp_path / "shown", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def picture():
    file = BytesIO()
    Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def ask(address, content, **headers):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return json.load(urlopen(Request(f"{address}/ask", body, {"Content-Type": "application/json"} | headers)))


def refused(address, content, **headers):
    with pytest.raises(HTTPError) as stop:
        ask(address, content, **headers)
    assert stop.value.code == 400
    return json.load(stop.value)["error"]


def test_the_page_needs_nothing_from_elsewhere(address):
    page = urlopen(address).read().decode()
    assert "<form" in page and "http" not in page


def test_a_question_in_any_language_gets_every_mask(address, model, picture):
    asked = {"question": "左边的圆在哪里？ 2", "picture": picture, "turns": [["qué?", "Sure [SEG]."]]}
    said = ask(address, asked)
    assert said["answer"] == SAID
    assert [instance["box"] for instance in said["instances"]] == [[0, 1, 2, 3], [4, 0, 6, 2]]
    assert [instance["confidence"] for instance in said["instances"]] == [0.75, 0.75]
    (heard,) = model.heard
    assert [turn.question for turn in heard.turns] == ["qué?", "左边的圆在哪里？ 2"]
    drawn = np.asarray(Image.open(BytesIO(base64.b64decode(said["overlay"].partition(",")[2]))).convert("RGB"))
    times = drawn.shape[0] // 4
    cells = drawn[::times, ::times]
    marked = {(row, column) for row in range(4) for column in range(6) if len(set(cells[row, column])) > 1}
    assert marked == {(1, 0), (1, 1), (2, 0), (2, 1), (0, 4), (0, 5), (1, 4), (1, 5)}


def test_words_alone_may_be_asked(address):
    assert ask(address, {"question": "Who are you?"})["overlay"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"question": " "}, "the question not empty"),
        ({"question": "x", "turns": [["one"]]}, 'expected {"question": text'),
        ({"question": "x", "picture": "no base64!"}, "picture: expected base64"),
        ({"question": "x", "picture": base64.b64encode(b"no picture").decode()}, "truncated or broken"),
        ([], "found a list"),
        (b"{", "Expecting property name"),
    ],
)
def test_what_is_wrong_comes_back_as_a_sentence(address, model, content, message):
    assert message in refused(address, content)
    assert not model.heard


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Content-Type": "text/plain"}])
def test_other_pages_are_not_answered(address, model, headers):
    assert "expected" in refused(address, {"question": "x"}, **headers)
    assert not model.heard


def test_a_taken_port_is_named(address):
    port = int(address.rpartition(":")[2])
    with pytest.raises(OSError, match=f"--serve {port}: .*; name another port"):
        open_server(dict, port)


def test_the_page_asks_for_pictures_itself(tmp_path):
    with pytest.raises(ValueError, match="--serve: the page asks for its pictures; leave a.png out"):
        chat.main(["a.png", "--serve"])


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_browser_shows_the_answer_and_what_it_points_at(address, model, picture, tmp_path, monkeypatch):
    act = f"""
      picture = "{picture}";
      at("question").value = "where <b>are</b> they?";
      at("form").requestSubmit();"""
    page = tmp_path / "page.html"
    page.write_text(serve.PAGE.read_text().replace("</script>", f"{act}</script>"))
    monkeypatch.setattr(serve, "PAGE", page)
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
    command += ["--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}", address]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    cards = text.partition('id="cards"')[2].partition("<form")[0]
    assert "where &lt;b&gt;are&lt;/b&gt; they?" in cards and SAID in cards and "data:image/png" in cards
    assert "it, confidence 0.75, box 0 1 2 3" in cards and "it, confidence 0.75, box 4 0 6 2" in cards
    assert len(model.heard) == 1 and "wrong" not in cards
