"""The contract of a kind of preparation, and how files are written: whole or not at all, and never over others.

To add one: a file in this folder with a class like

    @PREPARATIONS.register("keywords")
    class Keywords(Kind):
        reads = "ReasonSeg's explanatory/train.json"
        writes = "explanatory/keyword_outputs.json beside it, as the reader `reason_seg` takes it"

        def ask(self, parser):
            parser.add_argument("source", type=Path, help="...")
            parser.add_argument("--output", type=Path, help="...")

        def prepare(self, options):
            with fresh(options.output) as scratch:  # refuses to overwrite; takes its place when the block ends well
                write_records(scratch, progress(records, "reading"))
            return f"wrote {options.output}: ..."

whose docstring begins with what the kind does, and its name in `__init__.py`. The class is what `--help` shows.
"""

import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tqdm import tqdm

from ullava.configs.registry import Registry

PREPARATIONS = Registry("kind")
T = TypeVar("T")


class Kind(ABC):
    """One way to make a dataset ready.

    Attributes:
        name: the word behind `ullava prepare`, set by the registry.
        reads, writes: which files, for `--help`.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    writes: ClassVar[str]

    @abstractmethod
    def ask(self, parser: ArgumentParser) -> None:
        """Declares its arguments."""

    @abstractmethod
    def prepare(self, options: Namespace) -> str:
        """Prepares the dataset; returns the message for the user.

        Raises:
            FileNotFoundError, ValueError: the source is not there, or not what it should be.
            FileExistsError: what it would write is there already.
        """


@contextmanager
def fresh(*paths: Path) -> Iterator[Path]:
    """Yields a place to write `paths[0]`; of several, a folder in which each has its name.

    All are files or folders of one folder. They appear together when the block has ended well, and until then nothing
    of them does.

    Raises:
        FileExistsError: one of them is there already.
    """
    for path in paths:
        if path.exists() or path.is_symlink():
            raise FileExistsError(f"{path} exists, and nothing is overwritten; remove it, or name another --output")
    home = paths[0].parent
    home.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".preparing-", dir=home))
    try:
        yield scratch / paths[0].name if len(paths) == 1 else scratch
        for path in paths:
            os.replace(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch)


def progress(items: Iterable[T], title: str, *, unit: str = "record", total: int | None = None) -> Iterator[T]:
    """The items, with a bar on the terminal."""
    return iter(tqdm(items, desc=title, unit=unit, total=total, mininterval=1, leave=False))


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Writes a JSON list, one record a line, without holding it in memory; returns how many there were."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for count, record in enumerate(records, 1):
            file.write(("\n" if count == 1 else ",\n") + json.dumps(record, ensure_ascii=False))
        file.write("\n]\n")
    return count


def write_tree(path: Path, tree: Mapping[str, Any]) -> None:
    """Writes a JSON mapping."""
    path.write_text(json.dumps(tree, ensure_ascii=False) + "\n", encoding="utf-8")
