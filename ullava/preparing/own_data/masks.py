"""A folder of pictures and one of masks under the same names, as background removers and many papers give them."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ullava.datasets import boxes, images, masks
from ullava.datasets.formats.mask_pictures import brightness
from ullava.datasets.readers.files import by_stem
from ullava.preparing.own_data.pages import Instance, Page, Split

HALF = 128  # least brightness of the foreground where masks have greys, as JPEG's have


def read_masks(source: Path, pictures: Path | None, label: str) -> Iterator[Split]:
    """Yields the one split of a folder of masks; SOURCE may also hold both folders, `images` and `masks`.

    A mask is of the picture of its name, `masks/cat.png` of `images/cat.jpg`. Masks in folders of their own say their
    class by them: `masks/cup/cat.png` is the cup in `images/cat.jpg`.

    Args:
        pictures: their folder; None: `images` below `source`.
        label: class of the masks that lie in no folder of a class.

    Raises:
        FileNotFoundError: a folder is missing, or a mask has no picture.
    """
    folder = pictures or source / "images"
    home = source if pictures else source / "masks"
    for path in (folder, home):
        if not path.is_dir():
            raise FileNotFoundError(
                f"{path}: no such folder; expected {source}/images and {source}/masks, or the folder of the masks and "
                "that of the pictures with --images"
            )
    left_out: Counter[str] = Counter()
    yield Split("", folder, pages(home, folder, label, left_out), left_out)


def pages(home: Path, folder: Path, label: str, left_out: Counter[str]) -> Iterator[Page]:
    """Yields the pictures that have masks.

    Raises:
        FileNotFoundError: a mask has no picture.
    """
    known = by_stem(folder)
    by_picture: defaultdict[Path, list[tuple[str, Path]]] = defaultdict(list)
    for stem, path in by_stem(home).items():
        name, inner = label, stem
        if stem not in known and "/" in stem:
            name, _, inner = stem.partition("/")
        if inner not in known:
            raise FileNotFoundError(f"{path}: there is no picture of this name in {folder}; rename one of the two")
        by_picture[known[inner]].append((name.replace("_", " "), path))
    for picture, named in sorted(by_picture.items()):
        size, instances = images.size_of(picture), []
        for name, path in named:
            mask = foreground(path)
            masks.check_size(mask, size, str(path))
            box = boxes.box_of(mask)
            if box is None:
                left_out["empty mask"] += 1
            else:
                instances.append(Instance(name, box, masks.encode(mask)))
        yield Page(picture.relative_to(folder).as_posix(), size, tuple(instances))


def foreground(path: Path) -> np.ndarray:
    """The foreground of a mask's file, (H, W) bool: 1 of 0 and 1, or what is bright.

    Raises:
        ValueError: it holds more values than two of a mask, such as the ids of a label map.
    """
    values = brightness(path)
    brightest = int(values.max())
    if 1 < brightest < HALF:
        raise ValueError(
            f"{path}: expected 0 and 1, or black and white, found values up to {brightest}; a map of class ids is read "
            "by the reader label_map"
        )
    return values >= (1 if brightest <= 1 else HALF)
