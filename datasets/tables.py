"""Annotation files as memory-mapped Arrow tables: one row a record, no copy per worker or rank.

A JSON file is parsed once; what a reader's `rows` function makes of it lies in the cache folder (`$ULLAVA_CACHE`,
default `~/.cache/ullava`) under a key of path, size and time of its sources and of the code that read them. The file
is Arrow's stream format, which Hugging Face's `datasets.Dataset.from_file` opens too; it is written through pyarrow,
on which that library stands, because importing the whole of it costs every process a second.
"""

import hashlib
import inspect
import json
import os
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ullava.configs.registry import nearest

ROWS_PER_BATCH = 16384  # whoever opens a table looks at the head of each batch, and maps the pages around it
SPACE = re.compile(r"[ \t\n\r]*")  # of JSON, between values
ENCODER = json.JSONEncoder(ensure_ascii=False)  # `json.dumps` would build one for each record


class Facts(dict):
    """The facts of a record; the error of a missing key names the record."""

    def __init__(self, facts: Mapping[str, Any], *, where: str):
        super().__init__(facts)
        self.where = where

    def __missing__(self, key: str):
        raise ValueError(f"{self.where}: the record has no key {key!r}; {nearest(key, self)}")


class TableRow(NamedTuple):
    """One record.

    Attributes:
        id: what stands behind the dataset's name in the sample's id; unique in its file.
        picture: which picture it is about, "" if none: a held-out split never cuts through one.
        facts: what the file states, JSON-ready.
    """

    id: str
    picture: str
    facts: Mapping[str, Any]


class Table(Sequence[TableRow]):
    """The rows of annotation files. Travels to a worker as a path, and maps the file there."""

    def __init__(self, path: Path, where: str):
        import pyarrow

        self.path, self.where = path, where
        columns = pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))).read_all()
        self._id, self._picture, self._facts = (columns[name] for name in ("id", "picture", "facts"))

    def __reduce__(self):
        return Table, (self.path, self.where)

    def __len__(self) -> int:
        return len(self._id)

    def ids(self, places: Iterable[int]) -> list[str]:
        """The ids of some rows."""
        return [self._id[int(place)].as_py() for place in places]

    def __getitem__(self, index: int) -> TableRow:
        identity = self._id[int(index)].as_py()
        facts = Facts(json.loads(self._facts[int(index)].as_py()), where=f"{self.where}: {identity}")
        return TableRow(identity, self._picture[int(index)].as_py(), facts)


def open_table(rows: Callable[..., Iterator[TableRow]], *sources: Path, **options: Any) -> Table:
    """Returns the table of `rows(*sources, **options)`, from the cache if it has been made before.

    Raises:
        ValueError: a source is empty, broken, lacks a key, or holds another kind of value than its format; there are
            no rows, or two of one id.
    """
    where = " + ".join(str(source) for source in sources)
    path = cache_folder() / f"{rows.__name__}-{key(rows, sources, options)}.arrow"
    if not path.is_file():
        try:
            write(path, iter(rows(*sources, **options)), where)
        except KeyError as error:
            raise ValueError(f"{where}: a record has no key {error}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"{where}: a record holds another kind of value than its format has ({error})") from error
    return Table(path, where)


def cache_folder() -> Path:
    """Where tables lie: `$ULLAVA_CACHE/tables`, default `~/.cache/ullava/tables`."""
    return Path(os.environ.get("ULLAVA_CACHE") or Path.home() / ".cache" / "ullava", "tables")


def key(rows: Callable, sources: Sequence[Path], options: Mapping[str, Any]) -> str:
    """Changes when a source, an option, or the code that reads them changes."""
    source_file = inspect.getsourcefile(rows)
    if source_file is None:
        raise ValueError(f"{rows.__qualname__}: expected a function in a file, whose changes the cache can see")
    digest = hashlib.sha256(_code(Path(source_file).parent))
    digest.update(repr((rows.__qualname__, sorted(options.items()))).encode())
    for source in sources:
        status = source.stat()
        digest.update(repr((str(source.resolve()), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()[:24]


@cache
def _code(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))


def write(path: Path, rows: Iterator[TableRow], where: str) -> None:
    """Writes rows as Arrow, whole or not at all: ranks and workers may all be writing the same file.

    Raises:
        ValueError: there are none, or two of one id.
    """
    import pyarrow

    schema = pyarrow.schema({"id": "string", "picture": "string", "facts": "large_binary"})
    hashes = array("q")  # of the ids: a set of ten million of them would take 2 GB
    with _scratch(path.parent) as file:
        try:
            packed = ((row.id, row.picture, ENCODER.encode(row.facts).encode()) for row in rows)
            with pyarrow.ipc.new_stream(file, schema) as stream:
                while batch := list(islice(packed, ROWS_PER_BATCH)):
                    columns = list(map(list, zip(*batch, strict=True)))
                    stream.write_batch(pyarrow.record_batch(columns, schema=schema))
                    hashes.extend(map(hash, columns[0]))
            file.flush()
            check_ids(Path(file.name), np.frombuffer(hashes, np.int64), where)
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def check_ids(path: Path, hashes: np.ndarray, where: str) -> None:
    """Looks whether the ids in a table differ, by their hashes first, (N,) int64.

    Raises:
        ValueError: there are none, or two of one id.
    """
    if not hashes.size:
        raise ValueError(f"{where}: no records; expected one at least")
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        suspects = np.flatnonzero(np.isin(hashes, twice))
        ids = Counter(Table(path, where).ids(suspects.tolist()))
        identity, count = ids.most_common(1)[0]
        if count > 1:
            raise ValueError(f"{where}: two records have the id {identity!r}; ids must differ")


def _scratch(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.NamedTemporaryFile(dir=folder, delete=False)
    except OSError as error:
        raise OSError(
            f"{folder}: the cache of annotation files cannot be written ({error.strerror}); set $ULLAVA_CACHE"
        ) from error


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the records of a JSON array, or of a `.jsonl` file, one a line.

    Raises:
        ValueError: empty, broken (with its line), or not a list of mappings.
    """
    if path.suffix == ".jsonl":
        yield from read_lines(path)
        return
    raw = path.read_bytes()
    try:
        text = raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError as error:
        raise broken(path, 1, error) from error
    del raw
    begin = behind_space(text, 0)
    if not text.startswith("[", begin):
        content = _parse(text, path)
        kind = f"a mapping with {', '.join(list(content)[:5])}" if isinstance(content, dict) else repr(content)[:40]
        raise ValueError(f"{path}: expected a list of records, found {kind}")
    for number, record in enumerate(_items(text, begin, path)):
        if not isinstance(record, dict):
            raise ValueError(f"{path}: record {number}: expected a mapping, found {str(record)[:40]!r}")
        yield record


def _items(text: str, begin: int, path: Path) -> Iterator[Any]:
    """Yields the values of a JSON array, one after the other: all at once take ten times the memory of their text."""
    decode = json.JSONDecoder().raw_decode
    place = behind_space(text, begin + 1)
    try:
        while not text.startswith("]", place):
            value, place = decode(text, place)
            yield value
            place = behind_space(text, place)
            if text.startswith(",", place) and not text.startswith("]", after := behind_space(text, place + 1)):
                place = after
            elif not text.startswith("]", place):
                raise json.JSONDecodeError("Expecting ',' delimiter, and a value behind it", text, place)
        if behind_space(text, place + 1) < len(text):
            raise json.JSONDecodeError("Extra data", text, place + 1)
    except (json.JSONDecodeError, RecursionError) as error:
        raise broken(path, getattr(error, "lineno", 1), error) from error


def behind_space(text: str, place: int) -> int:
    """The first place from `place` on that is no white space."""
    space = SPACE.match(text, place)
    assert space is not None, "an expression that fits the empty text fits everywhere"
    return space.end()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the records of a file that has one a line, whatever its name ends with.

    Raises:
        ValueError: broken (with its line), or not mappings.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                record = _parse(line, path, number)
                if not isinstance(record, dict):
                    raise ValueError(f"{path}:{number}: expected a mapping, found {str(record)[:40]!r}")
                yield record


def read_object(path: Path, *keys: str) -> dict[str, Any]:
    """Returns the mapping in a JSON file, which must have `keys`.

    Raises:
        ValueError: empty, broken (with its line), not a mapping, or a key is missing.
    """
    tree = _parse(path.read_bytes(), path)
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: expected a mapping with {', '.join(keys)}, found a {type(tree).__name__}")
    for name in keys:
        if name not in tree:
            raise ValueError(f"{path}: no key {name!r}; {nearest(name, tree)}")
    return tree


def _parse(text: bytes | str, path: Path, line: int | None = None) -> Any:
    if not text.strip():
        raise ValueError(f"{path}: the file is empty; fetch it again")
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise broken(path, line or getattr(error, "lineno", 1), error) from error


def broken(path: Path, line: int, error: Exception) -> ValueError:
    """Returns the error for a file that is no valid JSON."""
    return ValueError(f"{path}:{line}: broken JSON ({error}); fetch the file again")
