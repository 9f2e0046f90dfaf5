"""ReasonSeg: pictures, texts that ask for something in them, and polygons of it (LISA, arXiv:2308.00692).

ReasonSeg/train/a.jpg, a.json           text, is_sentence, shapes: see `datasets/formats/labelme.py`
ReasonSeg/explanatory/train.json        why it is the one asked for: image, query, outputs

    a.json      {"text": ["Where would one pour the tea?"], "is_sentence": true,
                 "shapes": [{"label": "target", "points": [[10, 20], [90, 20], [90, 110]]}]}
    train.json  [{"image": "a.jpg", "query": "Where would one pour the tea?", "outputs": "Into the cup, for ..."}]
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from ullava.datasets.formats.labelme import PICTURES, Painted, Shapes, read_shapes
from ullava.datasets.masks import IGNORED
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import files, inside
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import read_records

ANOTHER = "_new"  # LaSagnA's copies, with a box that nobody reads
UNKNOWN = "(not found)"  # KeySeg's keyword where its language model found none


@READERS.register("reason_seg")
@dataclass(frozen=True)
class ReasonSeg(Reader):
    """One sample per annotation file: one region, whose phrases are all its texts. No polygon is an empty target.

    Args:
        folder: of the splits' folders, or, without `split`, of the annotation files.
        split: folder of one, or several joined by "_" as LISA writes them: train_val.
        images: folder of the pictures; None: each lies beside its annotation.
        explanations: LISA's explanatory/train.json, or KeySeg's list of the same with a `keyword` in each record.
        only: those that ask by phrases (short) or by whole sentences (long); None: all.
    """

    name: str
    folder: Path
    split: str | None = None
    images: Path | None = None
    explanations: Path | None = None
    only: Literal["short", "long"] | None = None

    def __post_init__(self):
        if self.only not in (None, "short", "long"):
            raise ValueError(f"{self.name}: only: expected short or long, found {self.only!r}")

    @cached_property
    def records(self) -> list[tuple[Path, Path]]:
        """Paths of picture and annotation."""
        splits = self.split.split("_") if self.split else []
        folders = [inside(self.folder, split, self.name) for split in splits] or [self.folder]
        records = [pair for folder in folders for pair in pairs(folder, self.images or folder, self.name)]
        if self.only:
            records = [pair for pair in records if bool(read_shapes(*pair[::-1]).is_sentence) == (self.only == "long")]
        if not records:
            raise ValueError(f"{self.name}: {', '.join(map(str, folders))}: no annotations; expected one at least")
        return records

    @cached_property
    def explained(self) -> dict[str, dict[str, str]]:
        """The explanation's record of a picture, by its name without suffix."""
        if self.explanations is None:
            return {}
        explanations = {}
        for number, record in enumerate(read_records(self.explanations)):
            if not all(isinstance(record.get(key), str) for key in ("image", "outputs")):
                raise ValueError(
                    f"{self.explanations}: record {number}: expected the texts `image` and `outputs`, found {record}"
                )
            explanations[Path(record["image"]).stem] = record
        return explanations

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        picture, path = self.records[index]
        shapes = read_shapes(path, picture)
        explanation = self.explained.get(path.stem, {})
        keyword = explanation.get("keyword") or UNKNOWN
        region = Region(
            phrases=texts(shapes, path),
            mask=Painted(shapes),
            reason=explanation.get("outputs"),
            keyword=None if keyword.startswith(UNKNOWN) else keyword,
            sentences=bool(shapes.is_sentence),
        )
        unclear = any(value == IGNORED for value, _ in shapes.polygons)
        return Sample(
            f"{self.name}/{path.relative_to(self.folder).with_suffix('')}",
            (Picture(picture, shapes.size),),
            (region,),
            ignored=Painted(shapes, IGNORED) if unclear else None,
        )


def pairs(folder: Path, images: Path, where: str) -> list[tuple[Path, Path]]:
    """Paths of each annotation's picture and of itself, sorted.

    Raises:
        FileNotFoundError: no such folder, or an annotation without its picture.
    """
    for wanted in (folder, images):
        if not wanted.is_dir():
            raise FileNotFoundError(f"{where}: {wanted}: no such folder")
    pictures = {path.stem: path for path in files(images, images) if path.parent == images and path.suffix in PICTURES}
    listed = [path for path in files(folder, folder) if path.parent == folder and path.suffix == ".json"]
    annotations = sorted(path for path in listed if not path.stem.endswith(ANOTHER))
    if lacking := [path.stem for path in annotations if path.stem not in pictures]:
        raise FileNotFoundError(
            f"{where}: {images}: {len(lacking)} of {len(annotations)} pictures are missing, e.g. {lacking[0]}"
        )
    return [(pictures[path.stem], path) for path in annotations]


def texts(shapes: Shapes, path: Path) -> tuple[str, ...]:
    """The texts of an annotation.

    Raises:
        ValueError: there are none, or what is there is no text.
    """
    if not shapes.texts or not all(isinstance(text, str) and text.strip() for text in shapes.texts):
        raise ValueError(f"{path}: expected `text`, a list of texts that ask for the target; found {shapes.texts}")
    return shapes.texts
