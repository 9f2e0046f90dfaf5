"""Pictures as people hold them in Python: paths, PIL images, numpy arrays and torch tensors become `Picture`s."""

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ullava.datasets import images
from ullava.datasets.structures import Picture, Video

Given = str | Path | Image.Image | np.ndarray | torch.Tensor | Picture | Video
URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:(//|.*;base64,)")  # one letter before the colon is a drive
ROUNDING = 1e-3  # how far from 0..1 resizing in floats may bring a value
EXPECTED = (
    "expected a path, a PIL image, a numpy array (H, W), (H, W, 3) or (H, W, 4), or a torch tensor (3, H, W), "
    "of uint8 or of floats from 0 to 1"
)


def open_given(given: Given) -> Picture | Video:
    """The picture that somebody hands over.

    Args:
        given: a path (str or Path); a PIL image of any mode, turned as its EXIF says; an array (H, W) of grey,
            (H, W, 3) RGB or (H, W, 4) RGBA, or a tensor (3, H, W) RGB on any device, of uint8 or of floats from 0 to 1;
            or a `Picture` or `Video`, which is returned as it is. What is transparent shows white.

    Raises:
        FileNotFoundError: there is no file at the path.
        TypeError: something else.
        ValueError: a URL, which is never fetched; an array or tensor of another shape, type or range; a PIL image
            that is broken, or whose mode has no agreed range (F).
    """
    if isinstance(given, Picture | Video):
        return given
    if isinstance(given, str | Path):
        return open_path(given)
    if isinstance(given, torch.Tensor):
        given = array_of(given)
    if isinstance(given, np.ndarray):
        given = image_of(given)
    if not isinstance(given, Image.Image):
        raise TypeError(f"picture: {EXPECTED}, found a {type(given).__name__}")
    try:
        image = images.upright(given)
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"picture: a PIL image of mode {given.mode} cannot be read ({error})") from error
    digest = sha256(repr(image.size).encode() + image.tobytes()).hexdigest()
    return Picture(Path(f"picture in memory {digest[:16]}"), image=image)  # features are kept by this name


def open_path(path: str | Path) -> Picture:
    """The picture in a file."""
    if isinstance(path, str) and URL.match(path):
        raise ValueError(f"picture: {path[:80]!r} is a URL, which is never fetched; download it, and give its path")
    if not Path(path).is_file():
        raise FileNotFoundError(f"picture: {path}: no such file")
    return Picture(Path(path))


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """(3, H, W) of any device and precision -> (H, W, 3)."""
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise ValueError(
            f"picture: expected a tensor (3, H, W), found {tuple(tensor.shape)}; one picture, channels first"
        )
    tensor = tensor.detach().cpu().permute(1, 2, 0)
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def image_of(array: np.ndarray) -> Image.Image:
    """(H, W), (H, W, 3) or (H, W, 4) of uint8, or of floats from 0 to 1, as Pillow holds it."""
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise ValueError(f"picture: {EXPECTED}, found an array {array.shape}; one picture, channels last")
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= -ROUNDING and array.max() <= 1 + ROUNDING):  # also of NaN
            raise ValueError(
                f"picture: expected floats from 0 to 1, found {array.min():g} to {array.max():g}; divide by 255, or "
                "undo the normalisation"
            )
        array = (array.clip(0, 1) * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"picture: {EXPECTED}, found {array.dtype}")
    return Image.fromarray(np.ascontiguousarray(array))
