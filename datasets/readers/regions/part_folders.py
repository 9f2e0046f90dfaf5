"""Folders of generated pictures, each of an object with the part that is asked for (seed 000's layout).

    <images>/handle/mug/000003.png           first the part, then the object it belongs to
    <images>/handle/mug/000003_mask.png      its mask, where there is one: white on black
    <images>/handle/mug/000003.json          how the picture was made; its `mask` may name a mask below <images>
    <images>/manifest.jsonl                  what `ullava generate-images` has written; nothing is read from it

Masks may lie in a tree of their own, too, each where its picture lies in the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from ullava.datasets.formats import part_names
from ullava.datasets.formats.mask_pictures import Foreground
from ullava.datasets.readers.base import READERS, Reader
from ullava.datasets.readers.files import files, inside
from ullava.datasets.structures import Picture, Region, Sample
from ullava.datasets.tables import read_object

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MASK = "_mask"  # behind the stem of a picture's mask
Record = tuple[Path, Path | None]  # a picture, and its mask


@READERS.register("part_folders")
@dataclass(frozen=True)
class PartFolders(Reader):
    """One sample per picture: one region, named "handle of the mug", with its mask where there is one.

    Args:
        images: folder of the parts' folders; underscores in folders' names are read as spaces.
        masks: folder laid out alike that holds masks, such as `ullava prepare pseudo_masks` writes; None: no such.
        beside: whether masks that lie beside the pictures count; those in `masks` come first.
        masked: leave out pictures without a mask.
        each: records of every part of every object, so that all are drawn alike: of few pictures some come again, of
            many they are evenly apart; None: the pictures as they are.
        threshold: least grey value, 0 to 255, of a mask's foreground.
    """

    name: str
    images: Path
    masks: Path | None = None
    beside: bool = True
    masked: bool = False
    each: int | None = None
    threshold: int = 128

    @cached_property
    def records(self) -> list[Record]:
        """(picture, its mask or None), sorted by part, object and name.

        Raises:
            ValueError: a picture that lies elsewhere, a mask without its picture, two pictures of one name, or none.
        """
        listed = pictures_below(self.images)
        masks = dict(self.masks_of(listed))
        records: list[Record] = [(picture, masks.get(picture)) for picture in listed.values()]
        if self.masked:
            records = [(picture, mask) for picture, mask in records if mask]
        if not records:
            wanted = "pictures with masks" if self.masked else "pictures"
            raise ValueError(f"{self.images}: no {wanted}; expected <part>/<object>/<name>.png")
        return list(evenly(records, self.each)) if self.each else records

    def masks_of(self, pictures: Mapping[str, Path]) -> Iterator[tuple[Path, Path]]:
        """Yields (picture, mask) of all that have one; of two masks the last is meant."""
        if self.beside:
            yield from masks_below(self.images, pictures)
            for sidecar in below(self.images, ".json"):
                picture = pictures.get(str(sidecar.relative_to(self.images).with_suffix("")))
                if picture and (named := read_object(sidecar).get("mask")):
                    yield picture, inside(self.images, named, str(sidecar))
        if self.masks:
            yield from masks_below(self.masks, pictures)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        picture, mask = self.records[index]
        stem = picture.relative_to(self.images).with_suffix("")
        part, whole = (folder.replace("_", " ") for folder in stem.parts[:2])
        region = Region(category=part_names.join(part, whole), mask=Foreground(mask, self.threshold) if mask else None)
        return Sample(f"{self.name}/{stem}", (Picture(picture),), (region,))


def evenly(records: Sequence[Record], each: int) -> Iterator[Record]:
    """Yields `each` records of every folder."""
    for _, folder_records in groupby(records, key=lambda record: record[0].parent):
        own = list(folder_records)
        yield from (own[n * len(own) // each] for n in range(each))


def below(folder: Path, *endings: str) -> list[Path]:
    """Files of a folder and of the folders in it with one of these endings, sorted; hidden ones are left out."""
    return sorted(path for path in files(folder, folder) if path.suffix.lower() in endings)


def pictures_below(folder: Path) -> dict[str, Path]:
    """Pictures that are no masks, by part/object/name without ending, sorted.

    Raises:
        ValueError: one lies elsewhere, or two differ in their ending only.
    """
    pictures: dict[str, Path] = {}
    for path in below(folder, *PICTURES):
        stem = path.relative_to(folder).with_suffix("")
        if stem.name.endswith(MASK):
            continue
        if len(stem.parts) != 3:
            raise ValueError(f"{path}: expected {folder}/<part>/<object>/{path.name}; move it there, or take it out")
        if str(stem) in pictures:
            raise ValueError(f"{path}: {pictures[str(stem)].name} has the same name; which is meant?")
        pictures[str(stem)] = path
    return pictures


def masks_below(folder: Path, pictures: Mapping[str, Path]) -> Iterator[tuple[Path, Path]]:
    """Yields (picture, mask) of every mask in a folder.

    Raises:
        ValueError: there is no picture to a mask.
    """
    for path in below(folder, *PICTURES):
        stem = str(path.relative_to(folder).with_suffix(""))
        if stem.endswith(MASK):
            picture = pictures.get(stem.removesuffix(MASK))
            if picture is None:
                raise ValueError(f"{path}: a mask without its picture; lay that beside it, or take the mask out")
            yield picture, path
