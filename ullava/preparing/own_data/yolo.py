"""YOLO's folders: a text beside each picture, and the classes in data.yaml or classes.txt (docs.ultralytics.com)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ullava.configs.load import read_yaml
from ullava.datasets import boxes
from ullava.datasets.readers import coco
from ullava.datasets.readers.regions.yolo import Yolo
from ullava.datasets.structures import Picture
from ullava.preparing.own_data.pages import Instance, Page, Split

SPLITS = ("train", "val", "test")


def read_yolo(source: Path, pictures: Path | None, phrase: str) -> Iterator[Split]:
    """Yields the splits that data.yaml names, or the one of a folder that has images/, labels/ and classes.txt.

    Raises:
        FileNotFoundError: a folder or the file of classes is missing.
    """
    if source.is_dir() and not (source / "data.yaml").is_file():
        names = (source / "classes.txt").read_text(encoding="utf-8").splitlines()
        yield split("", pictures or source / "images", source / "labels", [name.strip() for name in names])
        return
    path = source / "data.yaml" if source.is_dir() else source
    tree = read_yaml(path)
    if "names" not in tree:
        raise ValueError(f"{path}: expected `names`, the classes; found {', '.join(tree)}")
    home = path.parent / str(tree.get("path") or ".")
    home = home if home.is_dir() else path.parent  # `path` often is another machine's
    for name in SPLITS:
        if tree.get(name):
            images = folder_of(home, tree[name], f"{path}: {name}")
            yield split(name, images, labels_of(images), class_names(tree["names"]))


def folder_of(home: Path, stated: Any, where: str) -> Path:
    """The folder of a split's pictures, as data.yaml states it.

    Roboflow's exports state `../train/images` where train/ lies beside data.yaml (roboflow-python, issue 125).

    Raises:
        FileNotFoundError: there is no such folder.
    """
    for folder in (stated, str(stated).removeprefix("../")):
        if isinstance(folder, str) and (home / folder).is_dir():
            return home / folder
    raise FileNotFoundError(f"{where}: expected a folder below {home}, found {str(stated)[:60]!r}")


def labels_of(images: Path) -> Path:
    """The folder of texts: the last `images` in the path is `labels`."""
    parts = list(images.parts)
    if "images" not in parts:
        raise FileNotFoundError(f"{images}: expected a folder below one that is called images, beside labels")
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def class_names(names: Any) -> list[str]:
    """Classes in the order of their numbers; "-" where a number has none."""
    if isinstance(names, list):
        return [str(name) for name in names]
    return [str(names.get(number, "-")) for number in range(max(names) + 1)]


def split(name: str, images: Path, labels: Path, classes: Sequence[str]) -> Split:
    """One split.

    Raises:
        FileNotFoundError: a folder is missing.
    """
    for folder in (images, labels):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
    return Split(name, images, pages(images, labels, classes))


def pages(images: Path, labels: Path, classes: Sequence[str]) -> Iterator[Page]:
    """Yields the pictures that have objects, as our own reader reads them."""
    with TemporaryDirectory() as home:
        listed = Path(home, "classes.txt")
        listed.write_text("\n".join(classes), encoding="utf-8")
        for sample in Yolo("yolo", images, labels, listed):
            picture = sample.media[0]
            assert isinstance(picture, Picture) and picture.size, sample.id  # the reader opened it for its size
            instances = []
            for region in sample.regions:
                stated = coco.state(region, sample.id)
                box = region.box or boxes.from_xywh(stated["bbox"])
                instances.append(Instance(stated["category"], box, stated["segmentation"]))
            yield Page(picture.path.relative_to(images).as_posix(), picture.size, tuple(instances))
