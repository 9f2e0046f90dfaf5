"""Draws ReasonSeg's annotations: a folder of three masks for each file.

labeled_mask.png is everything that was drawn, target_mask.png what is meant, ignore_mask.png what counts nowhere: 0 and
255, the union of their shapes, each pixel as the smallest shape over it says.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ullava.datasets.formats.labelme import IGNORED, TARGET, read_shapes
from ullava.evaluation.score.kinds import files_of

WHITE = 255


def export(annotations: Path, destination: Path) -> int:
    """Draws one annotation or a folder of them; returns how many.

    Raises:
        FileNotFoundError: there are none.
        ValueError: a file is no such annotation.
    """
    if not annotations.exists():
        raise FileNotFoundError(f"{annotations}: no such file or folder")
    files = {annotations.stem: annotations} if annotations.is_file() else files_of(annotations, (".json",))
    if not files:
        raise FileNotFoundError(f"{annotations}: expected annotations (.json), found none")
    for name, path in files.items():
        labels = read_shapes(path).paint()
        folder = destination / name
        folder.mkdir(parents=True, exist_ok=True)
        for kind, mask in (("labeled", labels > 0), ("target", labels == TARGET), ("ignore", labels == IGNORED)):
            Image.fromarray(mask * np.uint8(WHITE)).save(folder / f"{kind}_mask.png")
    return len(files)
