"""The embedded world's objects with parts, in seed 000's folders: what the readers and recipes of parts are tried on.

    parts/handle/pot/000000.png, 000000_mask.png    parts/manifest.jsonl

A picture shows two objects of different kinds, each with all its parts; the folder says which part of which object is
meant. Most parts belong to several objects and every object has two, so that neither word is enough. An object is known
by the shape of its body and a part by its own; colors, textures, places and the side of a part are drawn.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ullava.datasets.boxes import around
from ullava.datasets.structures import Box
from ullava.datasets.tiny_world.files import save
from ullava.datasets.tiny_world.pixels import draw, masks
from ullava.datasets.tiny_world.scene import COLORS, EXTENT, SIDE, TEXTURES, Scene, Thing

BODIES = {"pot": "circle", "box": "square", "cart": "triangle", "kite": "diamond", "plane": "cross"}
PARTS = {  # part -> its shape, the sides where it may be, the objects that have it
    "handle": ("ring", ((-1, 0), (1, 0)), ("pot", "box", "cart", "kite")),
    "lid": ("triangle", ((0, -1),), ("pot", "box")),
    "wheel": ("circle", ((0, 1),), ("cart", "plane")),
    "tail": ("square", ((-1, 0), (1, 0)), ("kite", "plane")),
}
PAIRS = tuple((part, whole) for part, (_, _, wholes) in PARTS.items() for whole in wholes)
BODY_RADII, PART_RADII = (10.5, 12.5), (9.0, 10.5)  # pixels; parts are as large as small things
OVERLAP = 0.2  # how much of a part's radius lies behind the body
STREAM = 7  # of the random numbers; those of scenes, videos and annotations are 0 to 2


def write_parts(folder: Path, code: int, seed: int, count: int, masked: float) -> None:
    """Writes `count` pictures of parts, a pair after the other.

    Args:
        folder: of the split; code: its number, `tiny_world.SPLITS`.
        masked: share of the pictures that have a mask, the first of each pair.
    """
    lines = []
    for index in range(count):
        (part, whole), number = PAIRS[index % len(PAIRS)], index // len(PAIRS)
        rng = np.random.default_rng((code, seed, STREAM, index))
        scene, meant = sample_scene(part, whole, rng)
        place = folder / "parts" / part / whole
        place.mkdir(parents=True, exist_ok=True)
        save(draw(scene, rng), place / f"{number:06d}.png")
        line: dict[str, Any] = {"file": f"{part}/{whole}/{number:06d}.png", "part": part, "object": whole}
        if number * len(PAIRS) < masked * count:
            save(masks(scene)[meant].astype(np.uint8) * 255, place / f"{number:06d}_mask.png")
            line["mask"] = f"{part}/{whole}/{number:06d}_mask.png"
        lines.append(json.dumps(line))
    if lines:
        (folder / "parts" / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def sample_scene(part: str, whole: str, rng: np.random.Generator) -> tuple[Scene, int]:
    """Draws a scene of two objects; returns it with the index of the thing that is the part asked for."""
    while True:
        other = [kind for kind in BODIES if kind != whole][int(rng.integers(len(BODIES) - 1))]
        objects = [list(build(kind, rng)) for kind in (whole, other)]
        if not apart(*(around([thing.box for _, thing in parts]) for parts in objects)):
            continue
        meant = [name for name, _ in objects[0]].index(part)
        return Scene(tuple(thing for parts in objects for _, thing in parts)), meant


def build(kind: str, rng: np.random.Generator) -> Iterator[tuple[str, Thing]]:
    """Yields an object's body, then its parts, by name: what comes first hides what comes behind."""
    radius = float(rng.uniform(*BODY_RADII))
    x, y = rng.uniform(radius + 1, SIDE - 1 - radius, 2).tolist()
    color, *others = (COLORS[n] for n in rng.permutation(len(COLORS)))
    texture = TEXTURES[int(rng.integers(len(TEXTURES)))]
    body = Thing(BODIES[kind], color, texture, "large", x, y, radius)
    yield kind, body
    taken: set[tuple[int, int]] = set()
    names = [name for name, (_, _, wholes) in PARTS.items() if kind in wholes]
    for name, part_color in zip(names, others, strict=False):
        shape, sides, _ = PARTS[name]
        free = [side for side in sides if side not in taken]
        side = free[int(rng.integers(len(free)))]
        taken.add(side)
        yield name, beside(body, shape, part_color, side, float(rng.uniform(*PART_RADII)))


def beside(body: Thing, shape: str, color: str, side: tuple[int, int], radius: float) -> Thing:
    """A part at a side of a body, a little behind it."""
    reach = EXTENT[body.shape] * body.radius + (EXTENT[shape] - OVERLAP) * radius
    if body.shape == "triangle" and side[1] == 0:  # its sides are aslant: half as wide in the middle
        reach -= EXTENT[body.shape] * body.radius / 2
    part = Thing(shape, color, "plain", "small", body.x, body.y, radius)
    return replace(part, x=body.x + side[0] * reach, y=body.y + side[1] * reach)


def apart(first: Box, second: Box) -> bool:
    """Whether two boxes lie inside the picture, two pixels from each other at least."""
    whole = around((first, second))
    gaps = (first[0] - second[2], second[0] - first[2], first[1] - second[3], second[1] - first[3])
    return min(whole) >= 1 and max(whole) <= SIDE - 1 and max(gaps) >= 2
