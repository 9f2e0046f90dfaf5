"""Grey pictures in another size, to the last bit as OpenCV's bilinear `resize` draws them.

Tables of salient object detection come from programs that bring a prediction to its truth's size with it; another
kernel moves their fourth digit. Weights are whole 2048ths, and sums are rounded in two steps (OpenCV 4, resize.cpp).
"""

import numpy as np

ONE = 2048


def resize_grey(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 in another `size` (H, W)."""
    (old_height, old_width), (height, width) = picture.shape, size
    values = picture.astype(np.int64)
    if (old_height, old_width) == (2 * height, 2 * width):  # halves are means of four
        return (values.reshape(height, 2, width, 2).sum(axis=(1, 3)) + 2 >> 2).astype(np.uint8)
    first, share = places(old_width, width)
    share[(first < 0) | (first >= old_width - 1)] = 0  # columns outside are cut off, rows are repeated
    left, right = between(first, old_width)
    near, far = weights(share)
    rows = values[:, left] * near + values[:, right] * far >> 4
    first, share = places(old_height, height)
    top, bottom = between(first, old_height)
    near, far = weights(share)
    sums = (rows[top] * near[:, None] >> 16) + (rows[bottom] * far[:, None] >> 16)
    return np.clip(sums + 2 >> 2, 0, 255).astype(np.uint8)


def places(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns, for each of `new` pixels, the pixel of `old` before its centre and the distance to that one, 0..1."""
    centre = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(centre)
    return first.astype(np.int64), centre - first


def between(first: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the two neighbours between which a pixel lies, clamped to 0..count-1."""
    return first.clip(0, count - 1), (first + 1).clip(0, count - 1)


def weights(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights of the neighbours before and behind, in 2048ths, each rounded by itself."""
    near, far = (np.rint(part * np.float32(ONE)).astype(np.int64) for part in (np.float32(1) - share, share))
    return near, far
