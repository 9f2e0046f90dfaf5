"""Checks that a path in an annotation is a regular file, before it is opened."""

from pathlib import Path


def check_file(path: Path, kind: str) -> None:
    """Looks whether there is a file to be read. A pipe or a device would be waited for without end.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is no regular file.
    """
    if not path.is_file():
        if path.exists():
            raise ValueError(f"{path}: expected a {kind}, found no regular file; take it out of the annotation file")
        raise FileNotFoundError(f"{path}: no such {kind}; the annotation file names it, its folder lacks it")
