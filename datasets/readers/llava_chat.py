"""Written dialogue in LLaVA's JSON (arXiv:2304.08485): about a picture, a GIF or video (u-LLaVA's TGIF), or nothing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ullava.configs.tokens import IMAGE, VIDEO
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample, Turn, Video
from ullava.datasets.tables import Row, Table, open_table, read_records

PLACEHOLDER = re.compile(rf"\s*(?:{IMAGE}|{VIDEO})\s*")
MEDIA = ("image", "video", "gif")


@READERS.register("llava_chat")
@dataclass(frozen=True)
class LlavaChat(TableReader):
    """One sample per record, one turn per exchange. The record's placeholders go: only the processor writes them.

    Args:
        annotations: .json or .jsonl of {id, image | video | gif, conversations: [{from: human | gpt, value}, ...]}.
        images, videos: folders from which `image`, and `video` or `gif`, count; `videos: None` means the same.
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
        return Sample(sample_id, tuple(self.media(row, sample_id)), turns=turns(row.facts["conversations"], sample_id))

    def media(self, row: Row, where: str) -> Iterator[Picture | Video]:
        """Yields what the record is about."""
        for key in MEDIA:
            root, kind = (self.images, Picture) if key == "image" else (self.videos or self.images, Video)
            stated = row.facts.get(key) or []
            for path in [stated] if isinstance(stated, str) else stated:
                if root is None:
                    raise ValueError(f"{where}: it has the {key} {path!r}; the catalogue entry lacks its folder")
                yield kind(inside(root, path, where))


def turns(conversation: list[dict[str, Any]], where: str) -> tuple[Turn, ...]:
    """Pairs what the human says with what the assistant answers.

    Raises:
        ValueError: they do not take turns.
    """
    speakers = [said["from"] for said in conversation]
    if not speakers or speakers != ["human", "gpt"] * (len(speakers) // 2):
        raise ValueError(f"{where}: expected human and gpt in turns, found {', '.join(speakers) or 'nobody'}")
    pairs = zip(conversation[::2], conversation[1::2], strict=True)
    return tuple(Turn(PLACEHOLDER.sub(gap, q["value"]).strip(), a["value"], (a["value"],)) for q, a in pairs)


def gap(placeholder: re.Match) -> str:
    """What stays where a placeholder stood between words."""
    return "\n" if "\n" in placeholder.group() else " "


def rows(path: Path) -> Iterator[Row]:
    """One row per record; its id is the record's own, or its picture's stem, and its place in the file."""
    for number, record in enumerate(read_records(path)):
        about = next((record[key] for key in MEDIA if record.get(key)), "")
        picture = about if isinstance(about, str) else about[0]
        yield Row(f"{record.get('id') or Path(picture).stem or 'text'}.{number}", picture, record)
