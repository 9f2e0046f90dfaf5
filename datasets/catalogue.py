"""From a dataset's name to its Reader: where its files lie, under which options, and where to get them.

A name is looked up in the run's own `datasets:`, then in the files of `$ULLAVA_CATALOGUE`, then in configs/datasets/.
An entry names a `reader` and its options; beside them it may hold

    root: folder its paths count from (default: the data root); may begin with $ULLAVA_SHARED or any variable
    layouts: [{images: ..., ...}, ...]    sets of options, or readers: the first whose paths all exist is taken
    by_task: {task: {...}, ...}           reader and options for one task; options beside it go to who knows them
    every: 5, part: held_out | train      a split where none is published: every fifth picture, or the others
    exclude: [refcoco_val, ...]           without the pictures of these datasets, whatever task they serve (exclude.py)
    first: 16                             of all this, the first so many samples
    licence, url, size, tree              where to get it, what it weighs, how it lies on disk
    attributes: [[red, blue], ...]        words of its captions that can stand for each other, for a baseline
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, cast, get_args, get_type_hints

import ullava.datasets.readers  # noqa: F401, registers them
from ullava.configs.load import CONFIGS, data_root, read_yaml
from ullava.configs.registry import nearest
from ullava.datasets.exclude import Without
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.splits import PARTS, Beginning, Part

ABOUT = ("licence", "url", "size", "tree", "splits", "note", "attributes")  # for readers of the file, and for messages
PLACES = ("root", "layouts", "by_task", "every", "part", "exclude", "first", "reader")
VOCABULARIES = Path(__file__).parent / "vocabularies"
SHARED = CONFIGS.parent.parent / "shared"  # default of $ULLAVA_SHARED
Entry = Mapping[str, Any]


def open_dataset(
    name: str, task: str | None = None, own: Mapping[str, Entry] | None = None, exclude: Sequence[str] = ()
) -> Reader:
    """Returns the reader of the dataset `name` as `task` needs it.

    Args:
        task: chooses from `by_task`; may be None where the entry has none.
        own: the run's own entries, which come first.
        exclude: datasets whose pictures are left out, beside those that the entry excludes.

    Raises:
        LookupError: no such dataset, reader or task.
        ValueError: the reader does not know an option, or lacks one; or `exclude` leaves nothing.
        FileNotFoundError: a path is missing; says by which key, and where to get it.
    """
    entry = choose(name, find(name, own or {}), task)
    opened = open_whole(name, entry)
    if unwanted := list(dict.fromkeys((*entry.get("exclude", ()), *exclude))):
        others = (other for split in unwanted for other in open_all(split, own or {}))
        opened = Without(opened, tuple(others))
        if not len(opened):
            raise ValueError(f"{name}: exclude: {', '.join(unwanted)} show all of its pictures, and nothing is left")
    return Beginning(opened, entry["first"]) if "first" in entry else opened


def open_all(name: str, own: Mapping[str, Entry]) -> Iterator[Reader]:
    """Yields a reader for each task that the entry knows, whole, whatever it excludes itself."""
    entry = find(name, own)
    for task in entry.get("by_task", (None,)):
        yield open_whole(name, choose(name, entry, task))


def open_whole(name: str, entry: Entry) -> Reader:
    """The reader of a chosen entry, or the part of it that the entry names."""
    ways = layouts(name, entry)
    reader, options = next((way for way in ways if missing(way[1]) is None), ways[0])
    if key := missing(options):
        raise FileNotFoundError(
            f"{name}: {key}: {options[key]}: no such file or folder; relative paths count from the data root "
            f"{data_root()} ($ULLAVA_DATA)" + (f"; get it from {entry['url']}" if "url" in entry else "")
        )
    make = cast(Callable[..., Reader], reader)  # each constructor takes a name, and options of its own
    opened = make(name, **options)
    return Part(opened, entry["every"], entry.get("part", "train")) if "every" in entry else opened


def find(name: str, own: Mapping[str, Entry]) -> Entry:
    """The entry of a dataset, from the first catalogue that has it."""
    known: set[str] = set()
    for catalogue in catalogues(own):
        if name in catalogue:
            return catalogue[name]
        known |= catalogue.keys()
    raise LookupError(f"no dataset {name!r}; {nearest(name, known)}")


def names(own: Mapping[str, Entry] | None = None) -> list[str]:
    """All datasets there are entries for."""
    return sorted({name for catalogue in catalogues(own or {}) for name in catalogue})


def catalogues(own: Mapping[str, Entry]) -> Iterator[Mapping[str, Entry]]:
    """Yields the run's own entries, then those of every catalogue file, in the order they are looked up."""
    yield own
    for path in filter(None, os.environ.get("ULLAVA_CATALOGUE", "").split(os.pathsep)):
        yield read_yaml(path)
    for path in sorted((CONFIGS / "datasets").glob("*.yaml")):
        yield _shipped(path)


@cache
def _shipped(path: Path) -> Mapping[str, Entry]:
    return read_yaml(path)


def choose(name: str, entry: Entry, task: str | None) -> Entry:
    """The entry with its `by_task` options for `task` laid over it, without those that only other tasks' readers know.

    Raises:
        LookupError: it has none for this task.
        ValueError: no reader is named, or an unknown part.
    """
    if "by_task" not in entry:
        task, entry = None, {**entry, "by_task": {None: {}}}
    choices = {key: {**entry, **options} for key, options in entry["by_task"].items()}
    if task not in choices:
        raise LookupError(f"{name}: nothing for the task {task!r}; {nearest(str(task), choices)}")
    for choice in choices.values():
        if "reader" not in choice:
            raise ValueError(f"{name}: key 'reader' is missing; there are: {', '.join(sorted(READERS))}")
        if "every" in choice and choice.get("part", "train") not in PARTS:
            raise ValueError(f"{name}: part: expected {' or '.join(PARTS)}, found {choice['part']!r}")
        if not isinstance(choice.get("exclude", []), list | tuple):
            raise ValueError(f"{name}: exclude: expected a list of datasets, found {choice['exclude']!r}")
        if "first" in choice and not (isinstance(choice["first"], int) and choice["first"] > 0):
            raise ValueError(f"{name}: first: expected 1 or more samples, found {choice['first']!r}")
    known = {key for choice in choices.values() for key in fields_of(READERS[choice["reader"]])}
    others = known - fields_of(READERS[choices[task]["reader"]]).keys() - entry["by_task"][task].keys()
    return {key: value for key, value in choices[task].items() if key not in others}


def layouts(name: str, entry: Entry) -> list[tuple[type[Reader], dict[str, Any]]]:
    """The ways in which a chosen entry's files may lie: reader and its options, paths resolved."""
    ways = []
    for layout in entry.get("layouts", [{}]):
        whole = {**entry, **layout}
        reader = READERS[whole["reader"]]
        options = {key: value for key, value in whole.items() if key not in ABOUT + PLACES}
        check_options(name, reader, options)
        ways.append((reader, resolve(reader, options, root_of(name, whole))))
    return ways


def root_of(name: str, entry: Entry) -> Path:
    """Folder that the entry's paths count from."""
    variables = {"ULLAVA_SHARED": str(SHARED), **os.environ}
    try:
        root = Template(str(entry.get("root", ""))).substitute(variables)
    except KeyError as error:
        raise LookupError(f"{name}: root: {entry['root']}: the variable {error} is not set") from error
    return data_root() / root


def check_options(name: str, reader: type[Reader], options: Mapping[str, Any]) -> None:
    """Compares options with the fields of a reader."""
    fields = fields_of(reader)
    for key in options:
        if key not in fields:
            raise ValueError(f"{name}: reader {reader.name} has no option {key!r}; {nearest(key, fields)}")
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and key not in options:
            raise ValueError(f"{name}: reader {reader.name} needs the option {key!r}; there are: {', '.join(fields)}")


def fields_of(reader: type[Reader]) -> dict[str, dataclasses.Field]:
    """A reader's options by name."""
    fields = dataclasses.fields(cast(Any, reader))  # by its contract a reader is a dataclass
    return {field.name: field for field in fields if field.name != "name"}


def resolve(reader: type[Reader], options: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Options as the reader takes them: paths below `root`, a bare vocabulary's name in vocabularies/, lists frozen."""
    kinds = get_type_hints(reader)
    resolved = {}
    for key, value in options.items():
        if value is not None and Path in (kinds[key], *get_args(kinds[key])):
            shipped = VOCABULARIES / value
            value = shipped if shipped.is_file() else root / value
        resolved[key] = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return resolved


def missing(options: Mapping[str, Any]) -> str | None:
    """The first option whose path does not exist."""
    return next((key for key, value in options.items() if isinstance(value, Path) and not value.exists()), None)
