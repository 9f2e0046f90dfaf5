"""Draws scenes of the embedded world: things over a cluttered background, and their masks.

Texture is a pattern of two shades of the color; a faint thing is mixed with the ground behind it. The background is a
gradient with lines, specks and small colored marks, none of which is a thing.
"""

import numpy as np
from PIL import Image, ImageDraw

from ullava.datasets.tiny_world.scene import SIDE, Motion, Scene, Thing

RGB = {
    "red": (225, 45, 40), "green": (40, 185, 60), "blue": (45, 85, 235), "yellow": (240, 215, 45),
    "purple": (165, 50, 195), "white": (245, 245, 245),
}  # fmt: skip
FAINT = 0.42  # how much of its color a faint thing keeps
PIXELS = np.arange(SIDE, dtype=np.float32) + 0.5
XS, YS = PIXELS[None, :], PIXELS[:, None]


def draw(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draws a scene on a background of its own: (SIDE, SIDE, 3) uint8."""
    return finish(paint(scene, background(rng)), rng)


def draw_motion(motion: Motion, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a video, the first frame at the beginning and the last at the end: (frames, SIDE, SIDE, 3) uint8."""
    ground = background(rng)
    return np.stack([finish(paint(motion.at(t / (frames - 1)), ground), rng) for t in range(frames)])


def masks(scene: Scene) -> np.ndarray:
    """Which pixels belong to each thing: (things, SIDE, SIDE) bool."""
    return scene.owners(SIDE)[None] == np.arange(len(scene.things))[:, None, None]


def background(rng: np.random.Generator) -> np.ndarray:
    """A gradient with clutter on it: (SIDE, SIDE, 3) float32."""
    low, high = (rng.uniform(40, 120) + rng.uniform(-22, 22, 3) for _ in range(2))
    angle = rng.uniform(0, 2 * np.pi)
    slope = (np.cos(angle) * XS + np.sin(angle) * YS) / SIDE / 2.9 + 0.5
    ground = (low + (high - low) * slope[..., None]).clip(0, 255)
    picture = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for x0, y0, x1, y1 in rng.uniform(-10, SIDE + 10, (int(rng.integers(4, 9)), 4)).tolist():
        shade = tuple(int(v) for v in (low + rng.uniform(-35, 35, 3)).clip(0, 255))
        pen.line((x0, y0, x1, y1), fill=shade, width=1 + int(rng.random() < 0.3))
    colors = list(RGB.values())
    for x, y in rng.uniform(1, SIDE - 1, (int(rng.integers(4, 10)), 2)).tolist():
        color, reach = colors[rng.integers(len(colors))], float(rng.uniform(0.7, 2.2))
        mixed = tuple(int(0.6 * c + 0.4 * g) for c, g in zip(color, low, strict=True))
        mark = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        mark((x - reach, y - reach, x + reach, y + reach), fill=mixed)
    return np.asarray(picture, np.float32)


def paint(scene: Scene, ground: np.ndarray) -> np.ndarray:
    """Paints the things over a copy of the ground."""
    picture = ground.copy()
    owners = scene.owners(SIDE)
    for i, thing in enumerate(scene.things):
        ys, xs = np.nonzero(owners == i)
        color = shade(thing, xs + 0.5, ys + 0.5)[:, None] * np.array(RGB[thing.color], np.float32)
        keep = 1.0 if thing.vivid else FAINT
        picture[ys, xs] = keep * color + (1 - keep) * picture[ys, xs]
    return picture


def shade(thing: Thing, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Returns the brightness of a thing's color at these points: 1, or less where its texture is dark."""
    u, v = xs - thing.x, ys - thing.y
    if thing.texture == "striped":
        dark = (u + v) % 6 < 2.6
    elif thing.texture == "dotted":
        dark = (u % 5 - 2.5) ** 2 + (v % 5 - 2.5) ** 2 < 2.6
    else:
        dark = np.zeros(len(u), bool)
    return np.where(dark, 0.3, 1.0)


def finish(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds the camera's noise and rounds to uint8."""
    noise = rng.integers(-9, 10, (SIDE, SIDE, 3), dtype=np.int8)
    return (picture + noise).clip(0, 255).astype(np.uint8)
