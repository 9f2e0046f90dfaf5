"""Label maps of the embedded world with many classes, a color and a shape each: most of them are in no one scene.

labels_fine/000000.png, classes_fine.txt      0 is no class
"""

import numpy as np

from ullava.datasets.tiny_world.scene import COLORS, SHAPES, Scene, Thing

FINE, FINE_CLASSES = "labels_fine", "classes_fine.txt"
CLASSES = tuple(f"{color} {shape}" for color in COLORS for shape in SHAPES)


def fine_labels(scene: Scene, drawn: np.ndarray) -> np.ndarray:
    """The label map of a scene whose things cover `drawn` (things, SIDE, SIDE) bool: (SIDE, SIDE) uint8."""
    labels = np.array([label(thing) for thing in scene.things], np.uint8)
    return (drawn * labels[:, None, None]).sum(0).astype(np.uint8)


def label(thing: Thing) -> int:
    """A thing's value in the map."""
    return CLASSES.index(f"{thing.color} {thing.shape}") + 1
