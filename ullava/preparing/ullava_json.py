"""u-LLaVA's flat JSON files, written from any dataset that a reader opens (github.com/OPPOMKLab/u-LLaVA, dataset/).

Its authors publish a part of their files only, and u-LLaVA itself reads nothing else. What is written here, our readers
`ullava_referring`, `ullava_semantic`, `ullava_parts` and `salient_json` read back as the regions that it came from.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ullava.configs.load import data_root
from ullava.datasets import images
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.formats.mask_pictures import Foreground, LabelPixels
from ullava.datasets.readers import coco
from ullava.datasets.readers.base import Excerpt, Reader
from ullava.datasets.structures import Picture, Region, Sample, Video
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress, write_records

Records = Iterator[dict[str, Any]]


@PREPARATIONS.register("ullava_json")
class UllavaJson(Kind):
    """Writes a dataset of the catalogue in one of u-LLaVA's own formats."""

    reads = "the originals of a dataset, by its name in the catalogue (`$ULLAVA_CATALOGUE` adds own ones)"
    writes = "one JSON file, whose paths count from --root"

    def ask(self, parser: ArgumentParser) -> None:
        forms = "; ".join(f"{form}: {purpose}" for form, (_, _, purpose) in FORMS.items())
        parser.add_argument("form", choices=FORMS, help=forms)
        parser.add_argument("dataset", help="its name in the catalogue, e.g. refcoco_val")
        parser.add_argument("--task", help="which of an entry's tasks; default: res, semantic, semantic, salient")
        parser.add_argument("--root", type=Path, help="folder that paths count from; default: the data root")
        parser.add_argument("--without", metavar="TEXT", help="leave out classes whose name holds it: - in COCO-Stuff")
        parser.add_argument("--output", type=Path, required=True, help="e.g. ullava/refcoco_val.json")

    def prepare(self, options: Namespace) -> str:
        state, task, _ = FORMS[options.form]
        reader = open_dataset(options.dataset, options.task or task)
        root = options.root or data_root()
        with fresh(options.output) as scratch:
            records = write(reader, state, root, options.without)
            count = write_records(scratch, records)
            if not count:
                raise ValueError(f"{options.dataset}: nothing in it has the form {options.form}")
        return f"wrote {options.output}: {count} records of {len(reader)} samples"


def write(reader: Reader, state: Callable[..., Records], root: Path, without: str | None) -> Records:
    """Yields the records of all samples."""
    origin = reader
    while isinstance(origin, Excerpt):  # a part of a dataset holds the whole
        origin = origin.reader
    for sample in progress(reader, "writing", unit="sample", total=len(reader)):
        kept = [region for region in sample.regions if not (without and without in (region.category or ""))]
        yield from state(origin, sample, kept, root)


def referring(reader: Reader, sample: Sample, regions: Iterable[Region], root: Path) -> Records:
    """Yields a record for each region with phrases: its sentences, its box, and its mask."""
    for region in regions:
        if region.phrases:
            picture = sample.media[region.picture]
            height, width = size_of(picture)
            yield {
                "image_path": below(picture.path, root, sample), "height": height, "width": width,
                **coco.state(region, sample.id), "sentences": list(region.phrases),
            }  # fmt: skip


def semantic(reader: Reader, sample: Sample, regions: Iterable[Region], root: Path) -> Records:
    """One record per label map: its classes by name and number."""
    first, classes, labels = getattr(reader, "first_id", 0), [], set()
    for region in regions:
        if not isinstance(region.mask, LabelPixels):
            raise ValueError(f"{sample.id}: {region.category} is no class of a label map; take the form parts")
        labels.add(region.mask.path)
        classes += [{"class": region.category, "class_id": value - first} for value in region.mask.values]
    if classes:
        yield paths(sample, labels.pop(), root) | {"classes": classes}


def parts(reader: Reader, sample: Sample, regions: Iterable[Region], root: Path) -> Records:
    """One record per picture: its objects or parts, each with its name."""
    picture = sample.media[0]
    height, width = size_of(picture)
    stated = [coco.state(region, sample.id) for region in regions]
    if stated:
        yield {
            "image_path": below(picture.path, root, sample), "classes": [record.pop("category") for record in stated],
            "annotations": [record | {"height": height, "width": width} for record in stated],
        }  # fmt: skip


def salient(reader: Reader, sample: Sample, regions: Iterable[Region], root: Path) -> Records:
    """One record per picture: its mask's file, and the name and the reason where they are known."""
    for region in regions:
        if not isinstance(region.mask, Foreground):
            raise ValueError(f"{sample.id}: the mask is no picture file; u-LLaVA's salient records name one")
        words = {"reason": region.reason, "tag": region.category}
        gpt = {key: value for key, value in words.items() if value}
        yield paths(sample, region.mask.path, root) | ({"gpt": gpt} if gpt else {})


def paths(sample: Sample, label: Path, root: Path) -> dict[str, str]:
    """Where a sample's picture and its mask lie."""
    return {"image_path": below(sample.media[0].path, root, sample), "label_path": below(label, root, sample)}


def below(path: Path, root: Path, sample: Sample) -> str:
    """A path as it counts from `root`.

    Raises:
        ValueError: it lies elsewhere.
    """
    relative = os.path.relpath(path, root)
    if relative.split(os.sep)[0] == "..":
        raise ValueError(f"{sample.id}: {path} does not lie below {root}; name a folder above it with --root")
    return Path(relative).as_posix()


def size_of(picture: Picture | Video) -> tuple[int, int]:
    """(H, W) of a picture, as the annotation says or else as the file does.

    Raises:
        ValueError: it is a video, for which u-LLaVA has no form.
    """
    if not isinstance(picture, Picture):
        raise ValueError(f"{picture.path}: expected a picture, found a video; u-LLaVA's forms hold pictures only")
    return picture.size or images.size_of(picture.path)


FORMS = {  # form -> what writes a sample's records, the task it is opened for, what it is for
    "referring": (referring, "res", "RefCOCO and the like"),
    "semantic": (semantic, "semantic", "label maps"),
    "parts": (parts, "semantic", "objects and parts by name"),
    "salient": (salient, "salient", "mask files"),
}
