"""Written dialogue about pictures, videos or nothing, in the JSON of LLaVA (arXiv:2304.08485) and of LLaMA-Factory.

The second, also called ShareGPT's, has `messages` of {role, content} in place of `conversations` of {from, value}. Its
`system` prompt, first message or key of the record, stands before the first question: a model has one conversation, and
with it one system prompt, for all that it learns.

    {"id": "7", "image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat is on the table?"},
                                                    {"from": "gpt", "value": "A cup."}]}
    {"images": ["a.jpg"], "messages": [{"role": "user", "content": "<image>What is on the table?"},
                                       {"role": "assistant", "content": "A cup."}]}
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ullava.configs.tokens import IMAGE, VIDEO
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import MARK, Picture, Sample, Turn, Video
from ullava.datasets.tables import Table, TableRow, open_table, read_records

PLACEHOLDER = re.compile(rf"\s*(?:{MARK.pattern})\s*")
MEDIA = {"image": IMAGE, "images": IMAGE, "video": VIDEO, "videos": VIDEO, "gif": VIDEO}  # key -> its mark in the text
SPEAKERS = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
SYSTEM = "system"


@READERS.register("llava_chat")
@dataclass(frozen=True)
class LlavaChat(TableReader):
    """One sample per record, one turn per exchange. Media stand in the order of their placeholders in the text.

    The placeholder of a single picture or video goes: the processor writes it where u-LLaVA does. Of several, each
    stays where it is, and its turn says what it stands for; a text without any has them all before its first question.

    Args:
        annotations: .json or .jsonl of {id, image | video | gif, conversations: [{from: human | gpt, value}, ...]} or
            of {images, videos, messages: [{role: system | user | assistant, content}, ...]}; several media are lists.
        images, videos: folders from which pictures, and videos or GIFs, count; `videos: None` means the same.
    """

    name: str
    annotations: Path
    images: Path | None = None
    videos: Path | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        questions, answers = exchanges(row.facts["said"], sample_id)
        media = [(MEDIA[key], self.medium(key, path, sample_id)) for key, path in row.facts["media"]]
        marks = [mark for question in questions for mark in MARK.findall(question)]
        if len(media) < 2 or not marks:
            questions = [PLACEHOLDER.sub(gap, question).strip() for question in questions]
            turns = [Turn(question, answer, (answer,)) for question, answer in zip(questions, answers, strict=True)]
            return Sample(sample_id, tuple(medium for _, medium in media), turns=tuple(turns))
        if sorted(marks) != sorted(mark for mark, _ in media):
            raise ValueError(
                f"{sample_id}: its text holds {' '.join(marks)}, its record {' '.join(mark for mark, _ in media)}; "
                "expected one mark for each, or none"
            )
        return Sample(sample_id, in_order(marks, media), turns=placed(questions, answers))

    def medium(self, key: str, path: str, where: str) -> Picture | Video:
        """One picture or video of the record."""
        root, kind = (self.images, Picture) if MEDIA[key] == IMAGE else (self.videos or self.images, Video)
        if root is None:
            raise ValueError(
                f"{where}: it has the {key.removesuffix('s')} {path!r}; the catalogue entry lacks its folder"
            )
        return kind(inside(root, path, where))


def in_order(marks: list[str], media: list[tuple[str, Picture | Video]]) -> tuple[Picture | Video, ...]:
    """The media as their marks come in the text; those of one kind stay in the record's order."""
    waiting = {kind: iter([medium for mark, medium in media if mark == kind]) for kind in marks}
    return tuple(next(waiting[mark]) for mark in marks)


def placed(questions: list[str], answers: list[str]) -> tuple[Turn, ...]:
    """Returns the turns with marks that refer to the sample's media in order."""
    turns, used = [], 0
    for question, answer in zip(questions, answers, strict=True):
        count = len(MARK.findall(question))
        turns.append(Turn(question.strip(), answer, (answer,), tuple(range(used, used + count))))
        used += count
    return tuple(turns)


def exchanges(messages: list[list[str]], where: str) -> tuple[list[str], list[str]]:
    """What the human says, a system prompt before it, and what the assistant answers.

    Raises:
        ValueError: they do not take turns.
    """
    before = [text for who, text in messages[:1] if who == SYSTEM and text.strip()]
    turns = messages[1:] if messages and messages[0][0] == SYSTEM else messages
    speakers = [SPEAKERS.get(who, who) for who, _ in turns]
    if not speakers or speakers != ["human", "gpt"] * (len(speakers) // 2):
        raise ValueError(f"{where}: expected human and gpt in turns, found {', '.join(map(str, speakers)) or 'nobody'}")
    first, *others = (text for _, text in turns[::2])
    return ["\n".join([*before, first]), *others], [text for _, text in turns[1::2]]


def gap(placeholder: re.Match) -> str:
    """Returns the white space that replaces a placeholder between words."""
    return "\n" if "\n" in placeholder.group() else " "


def rows(path: Path) -> Iterator[TableRow]:
    """One row per record; its id is the record's own, or its first medium's stem, and its place in the file."""
    for number, record in enumerate(read_records(path)):
        media = [(key, name) for key in MEDIA for name in as_list(record.get(key))]
        first = media[0][1] if media else ""
        who, what = ("role", "content") if "messages" in record else ("from", "value")
        messages = [(line[who], line[what]) for line in record["messages" if "messages" in record else "conversations"]]
        messages = [(SYSTEM, record[SYSTEM]), *messages] if record.get(SYSTEM) else messages
        identity = record.get("id") or Path(first).stem or "text"
        yield TableRow(f"{identity}.{number}", first, {"media": media, "said": messages})


def as_list(stated: Any) -> list[Any]:
    """The media of one key: a list, one alone, or none."""
    return stated if isinstance(stated, list) else [stated] if stated else []
