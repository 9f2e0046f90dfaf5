"""Asks questions about pictures and films in batches, and writes the answers with their masks and boxes.

answers.jsonl has a line per question: image, question, answer, instances, boxes, and the files that `instances` writes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ullava.datasets.masks import RunLengths
from ullava.datasets.structures import Answer, Dialogue, Picture, Region, Sample, Turn, Video
from ullava.evaluation.ask.instances import Writer
from ullava.evaluation.ask.options import USUAL
from ullava.evaluation.ask.wording import asks_itself
from ullava.evaluation.engine.rows import Answerer
from ullava.tasks.base import TASKS

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".gif")


def describe(line: Mapping[str, Any]) -> str:
    """A line of answers.jsonl for people: the answer, a line for each instance, and the files about all of them."""
    lines = [line["answer"]]
    for instance, box, mask in zip_longest(line["instances"], line["boxes"], line["masks"]):
        words = [instance["name"] or "it"]
        words += [f"confidence {instance['confidence']:.2f}"] if instance["confidence"] is not None else []
        words += [f"box {' '.join(f'{side:.0f}' for side in box)}"] if box else []
        words += [mask] if mask else []
        lines.append(", ".join(words))
    files = [line[kind] for kind in ("overlay", "npy", "rle", "polygons") if line.get(kind)]
    return "\n  ".join([*lines, *files])


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, and the picture or video it is about; None for words alone."""

    question: str
    medium: Picture | Video | None = None

    def dialogue(self, number: int) -> Dialogue:
        """The question as a dialogue whose answer is open."""
        media = (self.medium,) if self.medium else ()
        return Dialogue(self.name(number), Sample(self.name(number), media), (Turn(self.question, ""),))

    def name(self, number: int) -> str:
        """What the files of question `number` begin with."""
        return f"{number:04}_{self.medium.path.stem if self.medium else 'text'}"


def medium(path: str | Path) -> Picture | Video:
    """The picture or video in a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: neither a picture nor a video by its ending.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such picture or video")
    if path.suffix.lower() in PICTURES:
        return Picture(path)
    if path.suffix.lower() in VIDEOS:
        return Video(path)
    raise ValueError(f"{path}: expected a picture ({' '.join(PICTURES)}) or a video ({' '.join(VIDEOS)})")


def find_media(places: Sequence[str]) -> list[Picture | Video]:
    """Pictures and videos in files, folders (those directly in them) and patterns like "photos/*.jpg", sorted in each.

    Raises:
        FileNotFoundError: a place that holds none.
        ValueError: a URL.
    """
    media: list[Picture | Video] = []
    for place in places:
        if "://" in place:
            raise ValueError(f"{place}: a URL, which is never fetched; download it, and give its path")
        if Path(place).is_dir():
            files = sorted(p for p in Path(place).iterdir() if p.suffix.lower() in PICTURES + VIDEOS)
        else:
            files = sorted(glob(place, recursive=True)) if has_magic(place) and not Path(place).exists() else [place]
        if not files:
            raise FileNotFoundError(f"{place}: holds no picture or video")
        media += [medium(file) for file in files]
    return media


def read_asks(path: str | Path) -> list[Ask]:
    """Questions from a JSONL of {"image": ..., "question": ...}; pictures lie beside the file or where they say.

    Raises:
        ValueError: a line that is not so, with its number.
    """
    path, asks = Path(path), list[Ask]()
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            start = line[:40].decode(errors="replace")
            raise ValueError(f"{path}:{number}: expected a JSON object, found {start!r}: {error}") from error
        if not isinstance(record, Mapping) or not isinstance(record.get("question"), str):
            raise ValueError(f'{path}:{number}: expected {{"image": ..., "question": ...}}, found {line[:60]!r}')
        picture = None
        if image := record.get("image"):
            beside = path.parent / image
            picture = medium(beside if beside.is_file() else image)
        asks.append(Ask(record["question"], picture))
    return asks


def question_of(task: str, phrase: str, about: Picture | Video | None) -> str:
    """The question by which a task asks for a phrase, as its evaluation dialogues do.

    Raises:
        LookupError: unknown task.
        ValueError: the task asks about a phrase and there is none.
    """
    asker = TASKS[task]()
    if getattr(asker, "slotted", False) and not phrase:
        raise ValueError(f"task {task!r} asks about a phrase; name it by --phrase")
    everything = Region((phrase,), phrase, (0, 0, 1, 1), RunLengths((1, 1), (0, 1)), sentences=asks_itself(phrase))
    media = (about,) if about else ()
    sample = Sample("inference", media, (everything,), turns=(Turn(phrase, "-"),))
    return next(asker.eval_dialogues(sample)).turns[-1].question


def answer(asks: Sequence[Ask], answerer: Answerer, first: int = 0) -> Iterator[tuple[int, Ask, Answer]]:
    """Asks in batches, and yields (number, question, answer) in order; numbers begin at `first`."""
    size = answerer.generation.batch_size
    for start in range(0, len(asks), size):
        batch = list(enumerate(asks[start : start + size], first + start))
        answers = answerer([ask.dialogue(number) for number, ask in batch], given=False)
        for (number, ask), reply in zip(batch, answers, strict=True):
            yield number, ask, reply


def write(
    folder: Path, answered: Iterable[tuple[int, Ask, Answer]], formats: Sequence[str] = USUAL
) -> Iterator[dict[str, Any]]:
    """Writes every answer to `folder` as it comes, and yields its line of answers.jsonl.

    Raises:
        ValueError: a format that `instances.Writer` does not know.
    """
    writer = Writer(folder, formats)
    with closing(writer), (folder / "answers.jsonl").open("w", encoding="utf-8") as file:
        for number, ask, reply in answered:
            image = str(ask.medium.path) if ask.medium else None
            line = {"image": image, "question": ask.question, "answer": reply.text}
            line |= writer.write(ask.name(number), ask.medium, reply)
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            yield line
