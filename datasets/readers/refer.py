"""RefCOCO, RefCOCO+, RefCOCOg and RefCLEF in the layout of the REFER toolkit (github.com/lichengunc/refer)."""

import pickle
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample
from ullava.datasets.tables import Row, Table, open_table, read_object

HARMLESS = {"bool", "bytes", "bytearray", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"}


@READERS.register("refer")
@dataclass(frozen=True)
class Refer(TableReader):
    """One sample per picture, one region per reference; its phrases are the reference's sentences.

    Args:
        refs: refs(*).p; read by an unpickler that admits nothing but plain data.
        instances: instances.json.
        images: folder from which `file_name` counts.
        split: of the references: train, val, testA, testB or test; None takes all.
    """

    name: str
    refs: Path
    instances: Path
    images: Path
    split: str | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.refs, self.instances, split=self.split)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        regions = tuple(
            coco.region(stated, size, sample_id, tuple(stated["sentences"])) for stated in row.facts["objects"]
        )
        return Sample(sample_id, (Picture(inside(self.images, row.facts["file"], sample_id), size),), regions)


def rows(refs: Path, instances: Path, *, split: str | None) -> Iterator[Row]:
    """One row per picture that has references of `split`."""
    tree = read_object(instances, "images", "annotations", "categories")
    annotations = {annotation["id"]: annotation for annotation in tree["annotations"]}
    names = {category["id"]: category["name"] for category in tree["categories"]}
    found = defaultdict(list)
    for ref in unpickle(refs):
        if split in (None, ref["split"]):
            if ref["ann_id"] not in annotations:
                raise ValueError(f"{refs}: reference {ref['ref_id']}: {instances} has no object {ref['ann_id']}")
            sentences = [sentence["sent"] for sentence in ref["sentences"]]
            found[ref["image_id"]].append(coco.thing(annotations[ref["ann_id"]], names) | {"sentences": sentences})
    for identity, picture in coco.pictures(tree).items():
        if identity in found:
            yield Row(str(identity), picture["file"], picture | {"objects": found[identity]})


class PlainUnpickler(pickle.Unpickler):
    """Admits builtin data types: a pickle from the internet may otherwise run any program."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in HARMLESS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def unpickle(path: Path) -> list[dict[str, Any]]:
    """Returns the references in refs(*).p, as Python 2 or 3 wrote them.

    Raises:
        ValueError: not a pickle of plain data.
    """
    try:
        with path.open("rb") as file:
            return PlainUnpickler(file, encoding="utf-8").load()
    except (pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected a pickle of plain data, but {error or 'it is empty'}") from error
