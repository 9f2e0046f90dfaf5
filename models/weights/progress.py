"""A bar on stderr for work that goes file by file through weights."""

from collections.abc import Collection, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(files: Collection[T], title: str) -> Iterator[T]:
    """Yields the items while a bar counts them; it vanishes at the end."""
    return iter(tqdm(files, desc=title, unit="file", leave=False))
