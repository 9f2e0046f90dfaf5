"""The scored questions of every batch, on the disk at once, so that a stopped evaluation goes on.

Whichever rank a batch falls to, the same questions stand in it: so the scores before a kill and after it are, bit for
bit, those of one undisturbed process, on any number of ranks.
"""

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.evaluation.engine import ranks
from ullava.evaluation.engine.questions import Question
from ullava.evaluation.engine.scoring import ScoredQuestion

FOLDER = ".progress"  # beside results.json, gone when that is there
WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".json")


@dataclass
class RowProgress:
    """The batches of one row.

    Attributes:
        scored: number of a batch -> its scored questions, of those that an earlier process has done.
        key: what a row asked of a model is known by.
    """

    saved: "EvaluationProgress | None" = None
    key: str = ""
    scored: dict[int, list[ScoredQuestion]] = field(default_factory=dict)

    def write(self, number: int, scored: Sequence[ScoredQuestion]) -> None:
        """Notes a batch; it is on the disk when this returns."""
        if self.saved:
            self.saved.write({"key": self.key, "batch": number, "scored": [packed(question) for question in scored]})


class EvaluationProgress:
    """What the processes of one evaluation have done.

    Args:
        output: the folder that results.json will stand in.
        identity: of the model and of how it is asked; answers of another one are not read.
    """

    def __init__(self, output: Path, identity: str):
        self.folder, self.identity = output / FOLDER, identity
        self.file: TextIO | None = None
        self.lines: dict[str, list[str]] = {}
        for path in sorted(self.folder.glob("rank*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
                if line.endswith("\n"):  # a kill may cut the last one
                    self.lines.setdefault(json.loads(line)["key"], []).append(line)

    def row_progress(
        self, row: EvaluationRow, generation: GenerationConfig, questions: Sequence[Question]
    ) -> RowProgress:
        """Returns the batches of a row that were scored before."""
        asked = hashlib.sha256(f"{self.identity}{row!r}{generation!r}".encode())
        for question in questions:
            asked.update(repr(question).encode())
        key = asked.hexdigest()
        batches = map(json.loads, self.lines.pop(key, ()))
        return RowProgress(
            self, key, {batch["batch"]: [unpacked(question) for question in batch["scored"]] for batch in batches}
        )

    def write(self, batch: Mapping[str, Any]) -> None:
        """Adds a line to this rank's file."""
        if self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = open_after_last_line(self.folder / f"rank{ranks.place()[0]}.jsonl")
        self.file.write(json.dumps(batch, ensure_ascii=False) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self, *, done: bool) -> None:
        """Closes the file; when the evaluation is done, nobody needs any of them."""
        if self.file:
            self.file.close()
        if done:
            shutil.rmtree(self.folder, ignore_errors=True)


def open_after_last_line(path: Path) -> TextIO:
    """Opens a file to add lines, without what a kill has left of a line."""
    if path.exists():
        text = path.read_bytes()
        os.truncate(path, text.rfind(b"\n") + 1)
    return path.open("a", encoding="utf-8")


def identify(folder: str, *more: Any) -> str:
    """Identifies a model's folder without reading its weights: by its files, their sizes and times."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix in WEIGHTS and path.is_file())
    stamps = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return json.dumps([str(Path(folder).resolve()), stamps, *more], default=str)


def packed(question: ScoredQuestion) -> dict[str, Any]:
    """Returns a scored question as JSON holds it; numbers keep every bit."""
    soft = [picture and base64.b64encode(picture).decode("ascii") for picture in question.soft]
    return {
        "place": question.place, "picture": question.picture, "records": dict(question.records),
        "line": question.line, "soft": soft,
    }  # fmt: skip


def unpacked(question: Mapping[str, Any]) -> ScoredQuestion:
    """Inverse of `packed`."""
    soft = tuple(picture and base64.b64decode(picture) for picture in question["soft"])
    records = {name: tuple(records) for name, records in question["records"].items()}
    return ScoredQuestion(**dict(question) | {"records": records, "soft": soft})
