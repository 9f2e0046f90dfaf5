"""PASCAL-Part as published: a MATLAB file per picture, with every object and its parts (arXiv:1406.2031).

Parts are told by codes, "lfuleg": the left front upper leg. VLPart's 93 names (vocabularies/pascal_part.txt) stand for
several codes each, so that both forms of the set ask the same: a code belongs to the first name of its object that it
contains, "leg"; codes that contain none, as a car's "leftside", are left out (VLPart, pascal_part_mat2json.py).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ullava.datasets.formats.mat_files import read_objects
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import by_stem, inside
from ullava.datasets.readers.regions.coco_parts import phrases_for
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table

CODES = {"license plate": "liplate", "paw": "pa"}  # names that the codes shorten
SPOKEN = {"pottedplant": "potted plant"}


@dataclass(frozen=True, slots=True)
class PartPixels:
    """The union of some parts of a MATLAB file's objects.

    Attributes:
        places: (object, part), as they are counted in the file, from 0.
    """

    path: Path
    size: tuple[int, int]
    places: tuple[tuple[int, int], ...]

    def draw(self) -> np.ndarray:
        things = read_objects(self.path)
        return np.logical_or.reduce([things[thing][2][part][1] for thing, part in self.places])


@READERS.register("pascal_part")
@dataclass(frozen=True)
class PascalPart(TableReader):
    """One sample per picture that has parts, one region per name: the union of all parts that it means.

    Args:
        annotations: folder of <picture>.mat; all are opened once.
        images: folder of <picture>.jpg.
        classes: VLPart's names, "dog:head", one a line.
        listed: text file whose lines begin with the stems of the pictures that belong to the split; None: all.
    """

    name: str
    annotations: Path
    images: Path
    classes: Path
    listed: Path | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations, self.classes, *([self.listed] if self.listed else []))

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        path = inside(self.annotations, f"{row.id}.mat", sample_id)
        regions = []
        for name, places in row.facts["said"]:
            phrases = phrases_for(name)
            regions.append(Region(phrases, phrases[0], mask=PartPixels(path, size, tuple(map(tuple, places)))))
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id), size),), tuple(regions))


def rows(annotations: Path, classes: Path, listed: Path | None = None) -> Iterator[TableRow]:
    """One row per picture that has parts, in the order of stems or of the list."""
    files, names = by_stem(annotations, ".mat"), by_object(classes)
    lines = filter(str.strip, listed.read_text(encoding="utf-8").splitlines()) if listed else ()
    for stem in (line.split()[0] for line in lines) if listed else files:
        if stem not in files:
            raise FileNotFoundError(f"{annotations}: {stem}.mat is missing; {listed} lists it")
        things = read_objects(files[stem])
        parts_by_name = defaultdict(list)
        for number, (kind, _, parts) in enumerate(things):
            for place, (code, mask) in enumerate(parts):
                if (name := category_of(kind, code, names)) and mask.any():
                    parts_by_name[name].append((number, place))
        if parts_by_name:
            yield TableRow(stem, f"{stem}.jpg", {"size": list(things[0][1].shape), "said": list(parts_by_name.items())})


def by_object(classes: Path) -> Mapping[str, list[str]]:
    """Object -> the names of its parts, in the order of the vocabulary."""
    names = defaultdict(list)
    for line in filter(str.strip, classes.read_text(encoding="utf-8").splitlines()):
        thing, colon, part = line.strip().partition(":")
        if not colon:
            raise ValueError(f"{classes}: expected object:part, found {line!r}")
        names[thing].append(part)
    return names


def category_of(kind: str, code: str, names: Mapping[str, list[str]]) -> str | None:
    """`object:part` of a code: the first of the object's part names that it contains; None where there is none."""
    thing = SPOKEN.get(kind, kind)
    return next((f"{thing}:{name}" for name in names.get(thing, ()) if CODES.get(name, name) in code), None)
