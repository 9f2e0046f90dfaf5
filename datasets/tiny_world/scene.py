"""Symbolic scenes of the embedded world: the things and their places, from which pictures and texts are made.

A scene is a square picture of `SIDE` pixels with five or six things that hide next to nothing of each other. In about a
quarter of the scenes one thing is vivid and all others are faint; size says nothing about which. A motion is a scene of
three or four things one of which moves. Everything is drawn from the `rng` that comes in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

SIDE = 96  # pixels of a picture
SHAPES = ("circle", "square", "triangle", "diamond", "cross", "ring")
COLORS = ("red", "green", "blue", "yellow", "purple", "white")
TEXTURES = ("plain", "striped", "dotted")
RADII = {"small": (9.0, 11.0), "large": (14.0, 17.0)}  # pixels
EXTENT = {  # half width of a shape's box, in radii; every box is centred on the thing
    "circle": 1.0, "square": 0.84, "triangle": 0.95, "diamond": 1.0, "cross": 0.95, "ring": 1.0,
}  # fmt: skip
DIRECTIONS = {"to the left": (-1, 0), "to the right": (1, 0), "upwards": (0, -1), "downwards": (0, 1)}
TRAITS = ("size", "texture", "color", "shape")  # in the order in which they are said


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; `x`, `y` its centre and `radius` in pixels."""

    shape: str
    color: str
    texture: str
    size: str
    x: float
    y: float
    radius: float
    vivid: bool = True

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels, x1 and y1 outside."""
        half = EXTENT[self.shape] * self.radius
        return self.x - half, self.y - half, self.x + half, self.y + half

    def has(self, wanted: Mapping[str, str]) -> bool:
        """Whether every attribute in `wanted` (kind -> word) is this thing's."""
        return all(getattr(self, kind) == word for kind, word in wanted.items())

    def inside(self, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """Which of the points lie on it: bool of the points' shape."""
        u, v = np.abs(xs - self.x) / self.radius, (ys - self.y) / self.radius
        half = EXTENT[self.shape]
        if self.shape == "circle":
            return u * u + v * v < 1
        if self.shape == "ring":
            squared = u * u + v * v
            return (squared < 1) & (squared > 0.25)
        if self.shape == "square":
            return (u < half) & (np.abs(v) < half)
        if self.shape == "triangle":
            return (np.abs(v) < half) & (u < (v + half) / 2)
        if self.shape == "diamond":
            return u + np.abs(v) < 1
        v = np.abs(v)
        return ((u < half) & (v < 0.34)) | ((v < half) & (u < 0.34))


@dataclass(frozen=True, slots=True)
class Scene:
    """Things from left to right; `salient` is the index of the one that stands out, if any."""

    things: tuple[Thing, ...]
    salient: int | None = None

    def having(self, wanted: Mapping[str, str]) -> list[int]:
        """Indices of the things with these attributes."""
        return [i for i, thing in enumerate(self.things) if thing.has(wanted)]

    def owners(self, cells: int) -> np.ndarray:
        """Which thing a point belongs to, -1 where none: (cells, cells) over the whole picture."""
        centres = (np.arange(cells) + 0.5) * (SIDE / cells)
        return cover(self.things, centres[None, :], centres[:, None])

    def has_distractors(self, index: int) -> bool:
        """Whether another thing shares its shape, and another (or the same) its color."""
        thing = self.things[index]
        return all(len(self.having({kind: getattr(thing, kind)})) > 1 for kind in ("shape", "color"))


@dataclass(frozen=True, slots=True)
class Motion:
    """A thing of `scene` (index `mover`) that goes `direction` by `distance` pixels; the scene is its beginning."""

    scene: Scene
    mover: int
    direction: str
    distance: float

    def at(self, part: float) -> Scene:
        """The scene after `part` (0 to 1) of the way."""
        dx, dy = DIRECTIONS[self.direction]
        thing = self.scene.things[self.mover]
        moved = replace(thing, x=thing.x + dx * self.distance * part, y=thing.y + dy * self.distance * part)
        return Scene(tuple(moved if i == self.mover else t for i, t in enumerate(self.scene.things)))


def cover(things: tuple[Thing, ...], xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Index of the thing at each point, -1 where none; `xs` (1, W) and `ys` (H, 1) pixels -> (H, W) int8."""
    owner = np.full((ys.shape[0], xs.shape[1]), -1, np.int8)
    for i, thing in enumerate(things):
        near_x = np.flatnonzero(np.abs(xs[0] - thing.x) < thing.radius)
        near_y = np.flatnonzero(np.abs(ys[:, 0] - thing.y) < thing.radius)
        if near_x.size and near_y.size:
            window = np.s_[near_y[0] : near_y[-1] + 1, near_x[0] : near_x[-1] + 1]
            part = owner[window]
            part[thing.inside(xs[:, window[1]], ys[window[0]]) & (part < 0)] = i
    return owner


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws a scene of five or six things, at least one of which has distractors of its shape and its color."""
    while True:
        count = int(rng.integers(5, 7))
        things = place(rng, attributes(rng, count), gap_x=3.0)
        if things is None:
            continue
        salient = int(rng.integers(count)) if rng.random() < 0.27 else None
        if salient is not None:
            things = [replace(thing, vivid=i == salient) for i, thing in enumerate(things)]
        scene = Scene(tuple(things), salient)
        if any(scene.has_distractors(i) for i in range(count)):
            return scene


def attributes(rng: np.random.Generator, count: int) -> list[Thing]:
    """Draws things without places: from few shapes and few colors, so that they are confused with each other."""
    shapes = rng.permutation(len(SHAPES))[: rng.integers(2, 5)]
    colors = rng.permutation(len(COLORS))[: rng.integers(2, 5)]
    large = rng.permutation(count)[: rng.integers(0, 4)]
    things = []
    for i in range(count):
        size = "large" if i in large else "small"
        shape = SHAPES[shapes[rng.integers(len(shapes))]]
        color = COLORS[colors[rng.integers(len(colors))]]
        texture = TEXTURES[rng.integers(len(TEXTURES))]
        things.append(Thing(shape, color, texture, size, 0.0, 0.0, float(rng.uniform(*RADII[size]))))
    return things


def place(rng: np.random.Generator, things: list[Thing], gap_x: float = 0.0) -> list[Thing] | None:
    """Gives each thing a free place, largest first, and sorts them from left to right; None where none is found.

    Args:
        gap_x: pixels between any two centres along x, so that "from left to right" has one meaning.
    """
    placed: list[Thing] = []
    for thing in sorted(things, key=lambda t: -t.radius):
        for x, y in rng.uniform(thing.radius + 1, SIDE - 1 - thing.radius, (40, 2)).tolist():
            if all(
                (x - t.x) ** 2 + (y - t.y) ** 2 > (1.08 * (t.radius + thing.radius) + 1) ** 2 and abs(x - t.x) >= gap_x
                for t in placed
            ):
                placed.append(replace(thing, x=x, y=y))
                break
        else:
            return None
    return sorted(placed, key=lambda t: t.x)


def sample_motion(rng: np.random.Generator) -> Motion:
    """Draws three or four things, and one of them that goes 28 to 48 pixels one way without touching another."""
    while True:
        things = place(rng, attributes(rng, int(rng.integers(3, 5))))
        if things is None:
            continue
        mover, direction = int(rng.integers(len(things))), tuple(DIRECTIONS)[rng.integers(4)]
        motion = Motion(Scene(tuple(things)), mover, direction, float(rng.uniform(28, 48)))
        if all(free(motion.at(part), mover) for part in (0.25, 0.5, 0.75, 1.0)):
            return motion


def free(scene: Scene, index: int) -> bool:
    """Whether the thing lies inside the picture and touches no other."""
    me = scene.things[index]
    low, high = me.radius, SIDE - me.radius
    others = (t for i, t in enumerate(scene.things) if i != index)
    return (
        low <= me.x <= high
        and low <= me.y <= high
        and all((me.x - t.x) ** 2 + (me.y - t.y) ** 2 > (1.08 * (t.radius + me.radius)) ** 2 for t in others)
    )
