"""u-LLaVA's flat JSON files: one record per picture or object (github.com/OPPOMKLab/u-LLaVA, dataset/)."""

from collections.abc import Iterator
from os.path import basename, splitext
from pathlib import Path

from ullava.datasets.tables import TableRow, read_records


def records(path: Path) -> Iterator[TableRow]:
    """One row per record; its id is the picture's stem and the record's place in the file, for a picture may recur."""
    for number, record in enumerate(read_records(path)):
        stem = splitext(basename(record["image_path"]))[0]  # a tenth of what `Path.stem` takes, for millions of records
        yield TableRow(f"{stem}.{number}", record["image_path"], record)
