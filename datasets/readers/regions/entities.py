"""Flickr30k Entities as published: sentences that mark phrases, and boxes of what they mean (arXiv:1505.04870).

    <picture>.txt     [/EN#12/people A man] holds [/EN#13/other a red cup] .
    <picture>.xml     <annotation><object><name>13</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>90</xmax>
                      <ymax>110</ymax></bndbox></object></annotation>
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

from ullava.datasets import boxes
from ullava.datasets.readers.base import READERS, TableReader
from ullava.datasets.readers.files import by_stem, inside
from ullava.datasets.structures import Box, Picture, Region, Sample
from ullava.datasets.tables import Table, TableRow, open_table

PHRASE = re.compile(r"\[/EN#(\w+)(?:/[\w-]+)+ ([^\]]+)\]")  # [/EN#283585/people A young child]


@READERS.register("entities")
@dataclass(frozen=True)
class Entities(TableReader):
    """One sample per picture, one region per thing that its sentences mention, with every phrase for it.

    A thing with several boxes has the box around them, as the paper scores it (section 4); what has none, as a scene,
    is left out. Corners count from 1 and are both inside. There are no masks and no crowds.

    Args:
        annotations: folder of <picture>.xml.
        sentences: folder of <picture>.txt.
        images: folder of <picture>.jpg.
        listed: text file with the numbers of the pictures that belong to the split, one a line; None: all.
    """

    name: str
    annotations: Path
    sentences: Path
    images: Path
    listed: Path | None = None

    @cached_property
    def table(self) -> Table:
        return open_table(rows, self.annotations, self.sentences, *([self.listed] if self.listed else []))

    def __getitem__(self, index: int) -> Sample:
        row = self.table[index]
        sample_id = f"{self.name}/{row.id}"
        regions = tuple(Region(tuple(phrases), box=tuple(box)) for box, phrases in row.facts["things"])
        return Sample(sample_id, (Picture(inside(self.images, row.picture, sample_id)),), regions)


def rows(annotations: Path, sentences: Path, listed: Path | None = None) -> Iterator[TableRow]:
    """One row per picture that has boxes."""
    texts, trees = by_stem(sentences), by_stem(annotations)
    for stem in listed.read_text(encoding="utf-8").split() if listed else texts:
        if stem not in trees or stem not in texts:
            raise FileNotFoundError(f"{annotations}: {stem}.xml or its sentences {sentences}/{stem}.txt is missing")
        things_by_id, phrases = things(trees[stem]), defaultdict(list)
        for identity, phrase in PHRASE.findall(texts[stem].read_text(encoding="utf-8")):
            if identity in things_by_id and phrase not in phrases[identity]:
                phrases[identity].append(phrase)
        if phrases:
            pairs = [(things_by_id[identity], texts) for identity, texts in phrases.items()]
            yield TableRow(stem, f"{stem}.jpg", {"things": pairs})


def things(path: Path) -> dict[str, Box]:
    """Number of each thing that has boxes -> the box around them.

    Raises:
        ValueError: broken, or with a document type, by which a small file may grow without end.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text:
            raise ValueError("it declares a document type, which these files do not need")
        tree = ElementTree.fromstring(text)
        corners_of = defaultdict(list)
        for thing in tree.iter("object"):
            if (box := thing.find("bndbox")) is not None:
                corners = [float(box.findtext(side) or "") for side in ("xmin", "ymin", "xmax", "ymax")]
                for name in thing.findall("name"):
                    corners_of[name.text].append(boxes.from_one(corners))
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected Entities' XML, but {error}; fetch the file again") from error
    return {name: boxes.around(own) for name, own in corners_of.items()}
