"""Masks as annotation files hold them: kept encoded until somebody draws them.

A drawn mask is (H, W) bool of the original picture, the union of its parts. Every kind draws itself with `draw()`.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from pycocotools import mask as coco


class Mask(Protocol):
    """Anything that can be drawn."""

    def draw(self) -> np.ndarray:
        """Returns (H, W) bool."""
