"""OpenImages' segmentation masks by picture and class, from its official CSV files.

The index is the one that LaSagnA reads (`train_mask.json`), which nobody published:
{picture: {class: [mask file, ...]}, ..., "categories": [class, ...]}.
"""

import csv
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ullava.configs.registry import listing, nearest
from ullava.preparing.base import PREPARATIONS, Kind, fresh, progress, write_tree

COLUMNS = ("MaskPath", "ImageID", "LabelName")  # storage.googleapis.com/openimages/web/factsfigures_v6.html
Index = dict[str, dict[str, list[str]]]


@PREPARATIONS.register("openimages")
class OpenImages(Kind):
    """Writes the index of OpenImages' masks: which files show which class of which picture."""

    reads = "*-annotations-object-segmentation.csv and class-descriptions-boxable.csv, as the project publishes them"
    writes = 'one JSON file: {picture: {class: [mask file, ...]}, "categories": [class, ...]}'

    def ask(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "masks_csv", type=Path, help="train-annotations-object-segmentation.csv, or of another split"
        )
        parser.add_argument("classes_csv", type=Path, help="class-descriptions-boxable.csv")
        parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
        parser.add_argument(
            "--masks", type=Path, help="folder of the unpacked masks: each is looked for, in it or in a folder "
            "named by its first character; without, the latter is taken for granted",
        )  # fmt: skip

    def prepare(self, options: Namespace) -> str:
        with fresh(options.output) as scratch:
            index = read_index(options.masks_csv, read_names(options.classes_csv))
            if options.masks:
                index = placed(index, options.masks)
            classes = sorted({name for paths_by_class in index.values() for name in paths_by_class})
            write_tree(scratch, {**index, "categories": classes})
        masks = sum(len(paths) for paths_by_class in index.values() for paths in paths_by_class.values())
        return f"wrote {options.output}: {masks} masks of {len(classes)} classes in {len(index)} pictures"


def read_names(path: Path) -> dict[str, str]:
    """Class name in small letters by its id, e.g. /m/011k07."""
    with path.open(encoding="utf-8", newline="") as file:
        return {line[0]: line[1].lower() for line in csv.reader(file) if len(line) == 2}


def read_index(path: Path, names: Mapping[str, str]) -> Index:
    """Mask files by picture and class, as they lie in folders named by their first character.

    Raises:
        ValueError: the file has other columns, a class without a name, or no masks.
    """
    index: Index = defaultdict(lambda: defaultdict(list))
    for number, line in enumerate(progress(read_lines(path), path.name, unit="mask"), 2):
        if line["LabelName"] not in names:
            raise ValueError(f"{path}:{number}: no name for the class {line['LabelName']!r} in the file of classes")
        mask = line["MaskPath"]
        index[line["ImageID"]][names[line["LabelName"]]].append(f"{mask[0]}/{mask}")
    if not index:
        raise ValueError(f"{path}: no masks; expected one at least")
    return index


def read_lines(path: Path) -> Iterator[dict[str, str]]:
    """Yields the lines of a CSV file by their column."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        for column in COLUMNS:
            if column not in (lines.fieldnames or ()):
                raise ValueError(f"{path}: no column {column!r}; {nearest(column, lines.fieldnames or ())}")
        yield from lines


def placed(index: Index, folder: Path) -> Index:
    """The index by the places where the masks lie.

    Raises:
        FileNotFoundError: some of them do not.
    """
    known = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    lost, placed_index = [], {}
    for picture, classes in index.items():
        placed_index[picture] = {}
        for name, paths in classes.items():
            ways = [next((way for way in (path, Path(path).name) if way in known), None) for path in paths]
            lost += [path for path, way in zip(paths, ways, strict=True) if way is None]
            placed_index[picture][name] = ways
    if lost:
        raise FileNotFoundError(listing(f"{folder}: {len(lost)} masks are missing", lost))
    return placed_index
