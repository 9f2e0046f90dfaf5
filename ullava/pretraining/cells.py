"""A picture written in words, as a perfect tower and projector would give it, for a language model to learn to read.

A grid cell is the sum of the embeddings of words: its row and column, ground or object, and on an object its
attributes, whether it is vivid and whether it holds the object's centre, where the centre lies and how wide the object
is. Places are weights on anchor words 12 pixels apart, two neighbours sharing a place between them, so that they are
piecewise linear in pixels. Attributes are dropped and all weights get some noise, as an imperfect projector would do.
"""

import numpy as np

from ullava.datasets.tiny_world.scene import COLORS, SHAPES, TEXTURES, TRAITS, Motion, Scene, Thing

GRID, STEP = 8, 12  # cells a side; pixels a cell
FRAMES = 8
ROWS, COLUMNS = (tuple(f"{axis}{i}" for i in range(GRID)) for axis in "rc")
XS, YS = (tuple(f"{axis}{i}" for i in range(GRID + 1)) for axis in "xy")
WIDTHS = tuple(f"w{i}" for i in range(4))
PLACES = tuple(f"p{i}" for i in range(GRID * GRID))  # names of the cells, said in answers
STATES = ("ground", "thing", "centre", "vivid", "faint")
ATTRIBUTES = ("small", "large", *TEXTURES, *COLORS, *SHAPES)
CELL_WORDS = (*ROWS, *COLUMNS, *XS, *YS, *WIDTHS, *STATES, *ATTRIBUTES)
INDEX = {word: i for i, word in enumerate(CELL_WORDS)}
FIRST_X, FIRST_Y, FIRST_WIDTH = INDEX["x0"], INDEX["y0"], INDEX["w0"]
OWN_PLACE = np.zeros((GRID * GRID, len(CELL_WORDS)), np.float32)
for _cell in range(GRID * GRID):
    OWN_PLACE[_cell, [INDEX[ROWS[_cell // GRID]], INDEX[COLUMNS[_cell % GRID]]]] = 1


def cell_of(x: float, y: float) -> int:
    """Number of the cell that holds a point, row by row."""
    return int(y // STEP) * GRID + int(x // STEP)


def anchored(vector: np.ndarray, first: int, value: float, last: int) -> None:
    """Adds a place, in steps of the grid, to the two anchor words around it."""
    low = min(int(value), last - 1)
    part = min(value - low, 1.0)
    vector[first + low] += 1 - part
    vector[first + low + 1] += part


def covered(scene: Scene) -> list[list[int]]:
    """For each thing the cells of which it covers a quarter or more."""
    owners = scene.owners(4 * GRID).reshape(GRID, 4, GRID, 4).transpose(0, 2, 1, 3).reshape(GRID * GRID, 16)
    return [np.flatnonzero((owners == i).sum(1) >= 4).tolist() for i in range(len(scene.things))]


def write_scene(scene: Scene, rng: np.random.Generator | None, drop: float = 0.04) -> np.ndarray:
    """Returns the weights of the words in every cell: (64, len(CELL_WORDS)) float32; no `rng`, nothing dropped."""
    cells = OWN_PLACE.copy()
    ground = np.ones(GRID * GRID, bool)
    for thing, inside in zip(scene.things, covered(scene), strict=True):
        centre = cell_of(thing.x, thing.y)
        for cell in {*inside, centre}:
            ground[cell] = False
            cells[cell] += write_thing(thing, cell == centre, rng, drop)
    cells[ground, INDEX["ground"]] = 1
    if rng is not None:
        cells += rng.normal(0, 0.06, cells.shape).astype(np.float32)
    return cells


def write_thing(thing: Thing, is_centre: bool, rng: np.random.Generator | None, drop: float) -> np.ndarray:
    """Weights of the words of one cell that the thing covers; off the centre half of the attributes are missing."""
    vector = np.zeros(len(CELL_WORDS), np.float32)
    vector[[INDEX["thing"], INDEX["vivid" if thing.vivid else "faint"]]] = 1
    shift_x, shift_y, shift_width = (0, 0, 0) if rng is None else rng.normal(0, 0.08, 3)
    anchored(vector, FIRST_X, min(max(thing.x / STEP + shift_x, 0), GRID), GRID)
    anchored(vector, FIRST_Y, min(max(thing.y / STEP + shift_y, 0), GRID), GRID)
    width = (thing.box[2] - thing.box[0]) / STEP
    anchored(vector, FIRST_WIDTH, min(max(width + shift_width, 0), 3), 3)
    lost = 0.0 if rng is None else drop if is_centre else 0.5
    for kind in TRAITS:
        if rng is None or not lost or rng.random() >= lost:
            vector[INDEX[getattr(thing, kind)]] = 1
    if is_centre:
        vector[INDEX["centre"]] = 1
    return vector


def write_motion(motion: Motion, rng: np.random.Generator | None) -> np.ndarray:
    """Weights for a video: (8 + 64, words): each frame's mean over its cells, then each cell's mean over the frames."""
    frames = np.stack([write_scene(motion.at(t / (FRAMES - 1)), rng, drop=0.05) for t in range(FRAMES)])
    return np.concatenate([frames.mean(1), frames.mean(0)])
