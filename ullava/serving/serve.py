"""A page for one model: a picture, questions about it in any language, every mask drawn (`ullava chat --serve`).

The page keeps the conversation and sends it with each question; the server keeps the pictures' files alone. It is for
whoever sits at this machine: it listens on 127.0.0.1 and answers no page but its own. Errors are shown on the page.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from ullava.configs.messages import CURABLE, OURS, plain
from ullava.datasets import images
from ullava.datasets.structures import Picture, Turn
from ullava.evaluation.ask.chat import Conversation
from ullava.evaluation.ask.instances import Instance, instances
from ullava.evaluation.engine.rows import Answerer
from ullava.evaluation.report.visualise import enlarge, overlay

PAGE = Path(__file__).with_name("serve.html")
HERE = "127.0.0.1"
LARGEST = 64 << 20  # bytes of a question with its picture
EXPECTED = '{"question": text, "picture": base64 or null, "turns": [[question, answer], ...]}'
Reply = Callable[[Mapping[str, Any]], dict[str, Any]]


def open_page(answerer: Answerer, folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the page, bound to its port; serves when it is told to.

    Args:
        folder: where the pictures that people show are kept.
        port: of this machine; 0: any that is free.

    Raises:
        OSError: the port is taken.
    """
    return open_server(partial(reply, answerer=answerer, folder=folder), port)


def open_server(answer: Reply, port: int) -> ThreadingHTTPServer:
    """A server of the page whose questions `answer` answers, one at a time; as `open_page`."""
    try:
        return ThreadingHTTPServer((HERE, port), partial(Visit, one_at_a_time(answer)))
    except OSError as error:
        raise OSError(f"--serve {port}: {error.strerror}; name another port, or 0 for any that is free") from error


def one_at_a_time(answer: Reply) -> Reply:
    """`answer`, which several visitors may call at once: one waits for the other, since a model holds one batch."""
    lock = Lock()

    def waiting(asked: Mapping[str, Any]) -> dict[str, Any]:
        with lock:
            return answer(asked)

    return waiting


def reply(asked: Mapping[str, Any], answerer: Answerer, folder: Path) -> dict[str, Any]:
    """Answers a question behind the turns before it.

    Returns:
        {"answer": text, "instances": [{"name", "confidence", "box"}], "overlay": address of a picture with all of them}

    Raises:
        ValueError: no such question, or a broken picture.
    """
    question, turns = asked.get("question"), asked.get("turns") or []
    paired = isinstance(turns, list) and all(isinstance(turn, list) and len(turn) == 2 for turn in turns)
    if not isinstance(question, str) or not question.strip() or not paired:
        raise ValueError(f"expected {EXPECTED}, the question not empty; found {str(asked)[:80]}")
    about = keep(asked["picture"], folder) if asked.get("picture") else None
    answer = Conversation(about, [Turn(str(before), str(after)) for before, after in turns]).ask(question, answerer)
    marked = instances(answer)
    listed = [{"name": each.name, "confidence": each.confidence, "box": each.box} for each in marked]
    return {"answer": answer.text, "instances": listed, "overlay": drawn(about, marked) if about and marked else None}


def keep(picture: str, folder: Path) -> Picture:
    """Writes a picture that came as base64 into `folder`, under a name that its bytes give it.

    Raises:
        ValueError: it is no base64, or no picture.
    """
    try:
        pixels = base64.b64decode(picture, validate=True)
    except (binascii.Error, TypeError) as error:
        raise ValueError(f"picture: expected base64, found {str(picture)[:40]!r} ({error})") from error
    path = folder / f"{hashlib.sha256(pixels).hexdigest()[:16]}.picture"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pixels)
    images.read(Picture(path))  # a broken one is named before the model is asked
    return Picture(path)


def drawn(about: Picture, marked: list[Instance]) -> str:
    """The picture with all that an answer points at, as an address that a page shows."""
    masks = [each.mask for each in marked if each.mask is not None]
    boxes = [] if masks else [each.box for each in marked if each.box]
    picture = overlay(*enlarge(images.read(about), masks, boxes), [each.name for each in marked])
    return png(picture)


def png(pixels: np.ndarray) -> str:
    """Pixels (H, W, 3) uint8 as a data address."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


class Visit(BaseHTTPRequestHandler):
    """One request of a browser: the page, or a question."""

    def __init__(self, answer: Reply, *given: Any):
        self.answer = answer
        super().__init__(*given)

    def do_GET(self) -> None:
        """Sends the page."""
        if self.path != "/":
            return self.send(404, "text/plain", b"there is one page: /")
        self.send(200, "text/html; charset=utf-8", PAGE.read_bytes())

    def do_POST(self) -> None:
        """Answers a question, or says what is wrong with it."""
        try:
            self.send_json(200, self.answer(self.asked()))
        except Exception as error:
            curable = isinstance(error, CURABLE) and not isinstance(error, OURS)
            message = plain(error) if curable else "a defect of this program; the terminal shows where"
            self.send_json(400 if curable else 500, {"error": message})
            if not curable:
                raise

    def asked(self) -> dict[str, Any]:
        """What the page asks.

        Raises:
            ValueError: too much, no JSON, or another page's: a foreign one can neither send JSON unasked nor our name.
        """
        port = self.server.server_address[1]
        if self.headers["Host"] not in (f"{HERE}:{port}", f"localhost:{port}"):
            raise ValueError(f"expected a page of {HERE}:{port}, found one of {self.headers['Host']}")
        if self.headers.get_content_type() != "application/json" or self.path != "/ask":
            raise ValueError(f"expected JSON sent to /ask, found {self.headers.get_content_type()} to {self.path}")
        size = int(self.headers["Content-Length"] or 0)
        if not 0 <= size <= LARGEST:
            raise ValueError(f"expected at most {LARGEST >> 20} MiB, found {size >> 20}; show a smaller picture")
        content = json.loads(self.rfile.read(size))
        if not isinstance(content, dict):
            raise ValueError(f"expected {EXPECTED}, found a {type(content).__name__}")
        return content

    def send_json(self, status: int, content: Mapping[str, Any]) -> None:
        """Sends an answer."""
        self.send(status, "application/json", json.dumps(content, ensure_ascii=False).encode())

    def send(self, status: int, kind: str, content: bytes) -> None:
        """Sends bytes."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing: the page shows what happened."""
