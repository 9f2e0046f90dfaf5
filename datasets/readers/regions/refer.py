"""RefCOCO, RefCOCO+, RefCOCOg and RefCLEF in the layout of the REFER toolkit (github.com/lichengunc/refer).

gRefCOCO (arXiv:2306.00968) lies the same way; its expressions mean several objects, or none.

    refs            [{"ref_id": 1, "image_id": 7, "ann_id": 1, "split": "train",
                      "sentences": [{"sent": "the red cup"}]}]
    instances.json  as of coco_instances: `image_id` and `ann_id` refer to it; in gRefCOCO `ann_id` is a list
"""

import pickle
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ullava.datasets.readers import coco
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_object, read_records

HARMLESS = {"bool", "bytes", "bytearray", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"}
NO_TARGET = -1


@READERS.register("refer")
@dataclass(frozen=True)
class Refer(TableReader):
    """One sample per picture, one region per reference; its phrases are the reference's sentences.

    A reference to several objects is one region, their union. Sentences that mean nothing in the picture are absent.

    Args:
        refs: refs(*).p, read by an unpickler that admits nothing but plain data, or the same list as .json.
        instances: instances.json.
        images: folder from which `file_name` counts.
        split: of the references: train, val, testA, testB, testC, or test, which is all of these three; None takes all.
        targets_only: leave out what is absent, and pictures that have nothing else.
        keywords: whether sentences have a `keyword` beside their text, which no published file has (`ullava prepare
            keywords`); of a reference, those of one keyword are then a region by themselves.
    """

    name: str
    refs: Path
    instances: Path
    images: Path
    split: str | None = None
    targets_only: bool = False
    keywords: bool = False

    @cached_property
    def table(self) -> Table:
        options = {"split": self.split, "targets_only": self.targets_only, "keywords": self.keywords}
        return open_table(rows, self.refs, self.instances, **options)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        regions = tuple(
            replace(coco.union(things, size, sample_id, tuple(sentences)), keyword=keyword)
            for things, sentences, keyword in row.facts["meant"]
        )
        picture = Picture(inside(self.images, row.facts["file"], sample_id), size)
        return Sample(sample_id, (picture,), regions, absent=tuple(row.facts["absent"]))


def rows(refs: Path, instances: Path, *, split: str | None, targets_only: bool, keywords: bool) -> Iterator[TableRow]:
    """One row per picture that has references of `split`, with or without a target."""
    tree = read_object(instances, "images", "annotations", "categories")
    annotations = {annotation["id"]: annotation for annotation in tree["annotations"]}
    names = {category["id"]: category["name"] for category in tree["categories"]}
    meant, absent = defaultdict(list), defaultdict(dict)
    for ref in read_records(refs) if refs.suffix == ".json" else unpickle(refs):
        if not belongs(ref["split"], split):
            continue
        sentences = [sentence["sent"] for sentence in ref["sentences"]]
        targets = targets_of(ref)
        if unknown := [target for target in targets if target not in annotations]:
            raise ValueError(f"{refs}: reference {ref['ref_id']}: {instances} has no object {unknown[0]}")
        if targets:
            things = [coco.thing(annotations[target], names) for target in targets]
            known = by_keyword(ref) if keywords else {None: sentences}
            meant[ref["image_id"]] += [(things, phrases, keyword) for keyword, phrases in known.items()]
        elif not targets_only:
            absent[ref["image_id"]] |= dict.fromkeys(sentences)
    for identity, picture in coco.pictures(tree).items():
        if identity in meant or identity in absent:
            facts = {"meant": meant.get(identity, []), "absent": list(absent.get(identity, ()))}
            yield TableRow(str(identity), picture["file"], picture | facts)


def by_keyword(ref: dict[str, Any]) -> dict[str | None, list[str]]:
    """The sentences of a reference, by their keywords."""
    phrases_of: dict[str | None, list[str]] = {}
    for sentence in ref["sentences"]:
        phrases_of.setdefault(sentence.get("keyword"), []).append(sentence["sent"])
    return phrases_of


def belongs(stated: str, split: str | None) -> bool:
    """Whether a reference's split is, or is part of, the one that is asked for; RefCLEF has "testAB" and the like."""
    if stated == split or split is None:
        return True
    return stated.startswith("test") and split in ("test", *(f"test{letter}" for letter in stated[4:]))


def targets_of(ref: dict[str, Any]) -> list[int]:
    """Ids of the objects that a reference means; gRefCOCO writes a list of them, and [-1] for none."""
    stated = ref["ann_id"]
    return [target for target in (stated if isinstance(stated, list) else [stated]) if target != NO_TARGET]


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
