"""What PASCAL Context (CVPR 2014) and PASCAL-Part (arXiv:1406.2031) hold in MATLAB's files."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets.formats.matlab import read_mat
from ullava.datasets.opening import check_file

Part = tuple[str, np.ndarray]  # code, and mask (H, W) bool
Instance = tuple[str, np.ndarray, tuple[Part, ...]]  # class, mask (H, W) bool, and parts


def read_labels(path: Path) -> np.ndarray:
    """Returns PASCAL Context's class ids, (H, W) uint16, 1 to 459.

    Raises:
        ValueError: the file is broken, or holds no label map.
    """
    labels = read_mat(path, "LabelMap")
    if not isinstance(labels, np.ndarray) or labels.ndim != 2 or not (labels == labels.astype(np.uint16)).all():
        raise ValueError(f"{path}: LabelMap: expected class ids (H, W), found something else")
    return labels.astype(np.uint16)


def read_objects(path: Path) -> tuple[Instance, ...]:
    """Returns PASCAL-Part's objects. The last few files are kept: parts share one reading.

    Raises:
        ValueError: the file is broken, or holds no such objects.
    """
    check_file(path, "annotation")
    return _read_objects(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read_objects(path: Path, time: int) -> tuple[Instance, ...]:
    try:
        anno, objects = structures(read_mat(path, "anno"))[0], []
        for thing in structures(anno["objects"]):
            parts = tuple((str(part["part_name"]), drawn(part["mask"])) for part in structures(thing["parts"]))
            objects.append((str(thing["class"]), drawn(thing["mask"]), parts))
    except (LookupError, TypeError) as error:
        raise ValueError(f"{path}: expected PASCAL-Part's `anno`, its objects and their parts, but {error}") from error
    return tuple(objects)


def structures(value: Any) -> list[dict[str, Any]]:
    """An array of structures; MATLAB writes [] where there are none."""
    if isinstance(value, np.ndarray) and not value.size:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise TypeError(f"found {type(value).__name__} instead of structures")
    return value


def drawn(mask: Any) -> np.ndarray:
    """A mask as MATLAB holds it, (H, W) of any kind of number, as bool."""
    if not isinstance(mask, np.ndarray) or mask.ndim != 2:
        raise TypeError("a mask is no matrix")
    return mask.astype(bool)
