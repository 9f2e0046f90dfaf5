"""Objects and phrases with boxes, one record a line: ODVG, the format of Open-GroundingDINO and its kin.

Source: longzw1997/Open-GroundingDino, data_format.md. Boxes are corners in pixels, the second one outside, as MS COCO's
x + width gives it.

    {"filename": "a.jpg", "height": 480, "width": 640,
     "detection": {"instances": [{"bbox": [10, 20, 90, 110], "label": 0, "category": "cup"}]},
     "grounding": {"caption": "a red cup", "regions": [{"bbox": [10, 20, 90, 110], "phrase": "a red cup"}]}}
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ullava.datasets import boxes
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Box, Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table, read_lines, read_object


@READERS.register("odvg")
@dataclass(frozen=True)
class Odvg(TableReader):
    """One sample per record, one region per object of `detection`, and per phrase of `grounding`.

    A phrase with several boxes has the box around them, as in Entities. There are no masks and no crowds.

    Args:
        annotations: one JSON a line of {filename, height, width, detection: {instances: [{bbox, label, category}]},
            grounding: {caption, regions: [{bbox, phrase}]}}, either of the two or both.
        images: folder from which `filename` counts.
        label_map: JSON of {"0": name, ...}, where objects have a `label` and no `category`.
        unique_categories: of objects keep only those whose category is there once, and say them by its name; records
            that then have nothing are left out.
    """

    name: str
    annotations: Path
    images: Path
    label_map: Path | None = None
    unique_categories: bool = False

    @cached_property
    def table(self) -> Table:
        sources = [self.annotations, self.label_map] if self.label_map else [self.annotations]
        return open_table(rows, *sources, unique_categories=self.unique_categories)

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id, size = f"{self.name}/{row.id}", tuple(row.facts["size"])
        regions = tuple(Region(tuple(phrases), category, tuple(box)) for phrases, category, box in row.facts["regions"])
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id), size),), regions)


def rows(path: Path, label_map: Path | None = None, *, unique_categories: bool) -> Iterator[TableRow]:
    """One row per record that has boxes; its id is the picture's path and the record's place in the file."""
    names = read_object(label_map) if label_map else {}
    for number, record in enumerate(read_lines(path)):
        where = f"{path}:{number + 1}"
        regions = phrased(record.get("grounding") or {}, where)
        things = [
            (name_of(thing, names, where), corners(thing["bbox"], where))
            for thing in (record.get("detection") or {}).get("instances", ())
        ]
        present = Counter(category for category, _ in things)
        if unique_categories:
            regions += [([category], category, box) for category, box in things if present[category] == 1]
        else:
            regions += [([], category, box) for category, box in things]
        if regions:
            facts = {"size": [record["height"], record["width"]], "regions": regions}
            yield TableRow(f"{Path(record['filename']).with_suffix('')}.{number}", record["filename"], facts)


def phrased(grounding: dict[str, Any], where: str) -> list[tuple[list[str], None, Box]]:
    """Phrases that share their boxes are one thing; the box around these."""
    places: dict[str, list[Box]] = defaultdict(list)
    for stated in grounding.get("regions", ()):
        for phrase in stated["phrase"] if isinstance(stated["phrase"], list) else [stated["phrase"]]:
            places[phrase].append(corners(stated["bbox"], where))
    things: dict[Box, list[str]] = defaultdict(list)
    for phrase, own in places.items():
        things[boxes.around(own)].append(phrase)
    return [(phrases, None, box) for box, phrases in things.items()]


def name_of(thing: dict[str, Any], names: dict[str, str], where: str) -> str:
    """An object's category, by itself or by its number."""
    if "category" in thing:
        return thing["category"]
    if str(thing["label"]) not in names:
        raise ValueError(f"{where}: label {thing['label']} has no name; give the catalogue entry its `label_map:`")
    return names[str(thing["label"])]


def corners(box: list[float], where: str) -> Box:
    """Four numbers."""
    if len(box) != 4:
        raise ValueError(f"{where}: bbox: expected four numbers, found {json.dumps(box)[:60]}")
    return boxes.from_xyxy(box)
