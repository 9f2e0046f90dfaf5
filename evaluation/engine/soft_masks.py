"""Probabilities of masks beside predictions.jsonl, for metrics that read them as such: 8-bit grey PNG files.

256 levels lose nothing: saliency scores are defined on 8-bit pictures, and `grey_levels` is what they would read.
"""

import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.evaluation.metrics.saliency import grey_levels

FOLDER = "predictions_soft"


def to_png(mask: np.ndarray | None) -> bytes | None:
    """Encodes a mask of probabilities (H, W) as a grey PNG."""
    if mask is None:
        return None
    file = io.BytesIO()
    Image.fromarray(grey_levels(np.asarray(mask))).save(file, "PNG", compress_level=1)
    return file.getvalue()


def read_png(path: Path) -> np.ndarray:
    """Inverse of `to_png`: (H, W) uint8.

    Raises:
        FileNotFoundError: no such file.
    """
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


class SoftMasks:
    """Writes pictures into a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, name: str, pictures: Sequence[bytes | None]) -> list[str | None]:
        """Writes `name`_0.png and so on; returns their paths as predictions.jsonl names them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        paths = [None if picture is None else f"{name}_{number}.png" for number, picture in enumerate(pictures)]
        for path, picture in zip(paths, pictures, strict=True):
            if path and picture is not None:
                (self.folder / path).write_bytes(picture)
        return [path and f"{FOLDER}/{path}" for path in paths]


@contextmanager
def replacing_folder(folder: Path) -> Iterator[SoftMasks]:
    """Like `replacing`: pictures take the place of those of an earlier run when all went well."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        yield SoftMasks(aside)
        shutil.rmtree(folder, ignore_errors=True)
        if aside.is_dir():
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
