"""MATLAB's files (.mat, up to version 7) as plain data: PASCAL Context's label maps, PASCAL-Part's structures.

scipy reads them and runs nothing that is in them. Version 7.3 is HDF5; no set we read is published in it.
"""

import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets.opening import check_file

LABELS = "LabelMap"  # of PASCAL Context (CVPR 2014)


def read_mat(path: Path, name: str) -> Any:
    """Returns the variable `name`: an array, or a structure whose fields are attributes; length-1 axes are dropped.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is broken, too new, or has no such variable.
    """
    from scipy.io import loadmat  # half a second, and few files are MATLAB's
    from scipy.io.matlab import MatReadError

    check_file(path, "annotation")
    try:
        found = loadmat(path, variable_names=[name], squeeze_me=True, struct_as_record=False)
    except (MatReadError, NotImplementedError, ValueError, TypeError, LookupError, OSError, EOFError, zlib.error,
            struct.error, MemoryError, OverflowError) as error:  # fmt: skip
        raise ValueError(f"{path}: expected a MATLAB file up to version 7, but {error}; fetch it again") from error
    if name not in found:
        raise ValueError(f"{path}: the MATLAB file has no variable {name!r}; is it another set's?")
    return found[name]


def read_labels(path: Path) -> np.ndarray:
    """Returns PASCAL Context's class ids, (H, W) unsigned, 1 to 459.

    Raises:
        ValueError: the file is broken, or holds no label map.
    """
    labels = np.asarray(read_mat(path, LABELS))
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.number) or not (labels == labels.astype(np.uint16)).all():
        raise ValueError(f"{path}: {LABELS}: expected (H, W) class ids, found {labels.dtype} of shape {labels.shape}")
    return labels.astype(np.uint16)


def read_objects(path: Path) -> tuple[tuple[str, np.ndarray, tuple[tuple[str, np.ndarray], ...]], ...]:
    """Returns PASCAL-Part's objects: class, mask (H, W) bool, and each part's code and mask. The last few are kept.

    Raises:
        ValueError: the file is broken, or holds no such objects.
    """
    check_file(path, "annotation")
    return _read_objects(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _read_objects(path: Path, time: int) -> tuple[tuple[str, np.ndarray, tuple[tuple[str, np.ndarray], ...]], ...]:
    try:
        found = []
        for thing in np.atleast_1d(read_mat(path, "anno").objects):
            parts = [(str(part.part_name), drawn(part.mask)) for part in np.atleast_1d(thing.parts)]
            found.append((str(getattr(thing, "class")), drawn(thing.mask), tuple(parts)))
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{path}: expected PASCAL-Part's `anno`, its objects and their parts, but {error}") from error
    return tuple(found)


def drawn(mask: Any) -> np.ndarray:
    """A mask as MATLAB holds it, (H, W) of any kind of number, as bool."""
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise TypeError(f"a mask has the shape {mask.shape}")
    return mask.astype(bool)
