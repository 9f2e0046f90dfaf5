"""Lists of cases: a JSON file that says which file is compared with which, suite by suite."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Reads a JSON file; a .jsonl file gives a list of its lines.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ValueError(f"{path}: expected JSON, the file is empty")
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line] if path.suffix == ".jsonl" else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON: {error}") from error


def read_list(path: Path) -> list[Mapping[str, Any]]:
    """Reads the entries of a list of cases.

    Raises:
        ValueError: it is no list of objects, or there are none.
    """
    entries = read_json(path)
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)):
        raise ValueError(f"{path}: expected a list of cases, each an object")
    if not entries:
        raise ValueError(f"{path}: expected cases, found none")
    return entries


def place(listed: Path, name: str) -> Path:
    """Finds the file that a list names, beside the list or beside its folder."""
    for folder in (listed.parent, listed.parent.parent):
        if (folder / name).exists():
            return folder / name
    return listed.parent / name


def field_of(entry: Any, key: str, where: object) -> Any:
    """entry[key].

    Raises:
        ValueError: there is no such key, which lists those there are; or no object that could have it.
    """
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where}: expected an object with {key!r}, found {str(entry)[:40]!r}")
    if key not in entry:
        raise ValueError(f"{where}: expected {key!r}, found {', '.join(map(repr, entry)) or 'nothing'}")
    return entry[key]
