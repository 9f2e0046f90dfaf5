"""Keeps pictures of named val and test splits out of training: the leak between sets that share MS COCO's pictures.

Two files are one picture when they are one file, when both carry MS COCO's id and it is the same (12 digits that end
the name: `COCO_train2014_000000581857.jpg`, `000000581857.jpg`; the copies of several sets differ in bytes), or else
when their bytes are equal. A name alone says nothing: every second set has a `00001.jpg`. Files are compared by size
first and by SHA-256 where that agrees, and not at all where both carry ids.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ullava.datasets.readers.base import Excerpt, Reader

COCO_ID = re.compile(r"(?:^|_)(\d{12})$")
UNREADABLE = (LookupError, ValueError, OSError)  # what a reader raises about a record


class Pictures:
    """A set of picture and video files that finds its file with the same picture as a given one.

    Example:
        Pictures(paths_of(open_dataset("refcoco_val"))).find(path)  # the file that shows the same, or None
    """

    def __init__(self, paths: Iterable[Path]):
        self.paths = set(paths)
        self.by_id = {identity: path for path in self.paths if (identity := coco_id(path))}
        self._digests: dict[Path, str] = {}

    def find(self, path: Path) -> Path | None:
        """The file of this set that holds the same picture; None where there is none."""
        if path in self.paths:
            return path
        identity = coco_id(path)
        if identity in self.by_id:
            return self.by_id[identity]
        rivals = self.without_id if identity else self.by_size
        if not rivals:
            return None
        alike = rivals.get(file_size(path), ())
        return next((other for other in alike if self.digest(other) == self.digest(path)), None)

    @cached_property
    def by_size(self) -> dict[int, list[Path]]:
        """Groups the files by size in bytes; leaves out missing ones, which raise an error when they are opened."""
        return grouped(self.paths)

    @cached_property
    def without_id(self) -> dict[int, list[Path]]:
        """The same of files without MS COCO's id."""
        return grouped(path for path in self.paths if not coco_id(path))

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, computed once."""
        if path not in self._digests:
            with path.open("rb") as file:
                self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path]


@dataclass(frozen=True)
class Without(Excerpt):
    """The samples of a reader that show nothing of other datasets.

    Args:
        reader: the whole.
        others: whose pictures and videos are left out.
    """

    reader: Reader
    others: tuple[Reader, ...]

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """Indices in the whole reader, in its order. A record that cannot be read stays, and raises when it is read."""
        known = Pictures(path for other in self.others for paths in media_of(other) for path in paths)
        shown = list(media_of(self.reader))
        duplicates = {path for path in {path for paths in shown for path in paths} if known.find(path)}
        return tuple(index for index, paths in enumerate(shown) if duplicates.isdisjoint(paths))


def dropped(reader: Reader) -> int:
    """Returns how many samples `exclude:` leaves out of a reader, or of the one that it is a part of."""
    if isinstance(reader, Without):
        return len(reader.reader) - len(reader)
    whole = getattr(reader, "reader", None)
    return dropped(whole) if isinstance(whole, Reader) else 0


def media_of(reader: Reader) -> Iterator[tuple[Path, ...]]:
    """Yields the files of each record's pictures and videos; of one that cannot be read, none."""
    for index in range(len(reader)):
        try:
            yield reader.shown(index)
        except UNREADABLE:
            yield ()


def coco_id(path: Path) -> str | None:
    """MS COCO's id in a file's name; None where there is none."""
    match = COCO_ID.search(path.stem)
    return match.group(1) if match else None


def file_size(path: Path) -> int:
    """Returns the size of a file in bytes; -1 where there is none."""
    try:
        return os.path.getsize(path)
    except OSError:
        return -1


def grouped(paths: Iterable[Path]) -> dict[int, list[Path]]:
    """Groups existing files by their size in bytes."""
    groups: dict[int, list[Path]] = {}
    for path in sorted(paths):
        groups.setdefault(file_size(path), []).append(path)
    groups.pop(-1, None)
    return groups
