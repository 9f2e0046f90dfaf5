"""Questions about the embedded world that take a thought before anything can be pointed at, in ReasonSeg's layout.

    reason_seg/000000.json                 texts, whether they are sentences, polygons of target and unclear pixels
    reason_seg/explanatory/train.json      why it is that: image, json, query, outputs, keyword

Most compare things of one shape by place, neighbours, or looks, in the words that the tiny language model was schooled
in; some take what everybody knows (snow is white, a ring has a hole) or a comparison of all things, which it has to
learn. As everywhere in this world nothing is asked that has two answers, and near ties are left out. Phrases begin with
"the": the tokenizer spells a word that begins a line otherwise than one behind a space, and was made of the latter.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ullava.datasets.outlines import outlines
from ullava.datasets.tiny_world import words
from ullava.datasets.tiny_world.scene import SIDE, Scene
from ullava.datasets.tiny_world.words import CLEAR, EXTREMES, SIDES, along, names, noun, pick, plural

FOLDER, EXPLANATIONS = "reason_seg", "reason_seg/explanatory/train.json"
TEXTS = 3  # at most, of one question
UNCLEAR, REACH = 0.2, 3  # share of the annotations with unclear pixels; half the side of such a square, pixels
SHAPES = {
    "circle": "looks like a ball", "square": "looks like a box", "triangle": "has three sides",
    "diamond": "stands on a corner", "cross": "looks like a plus sign", "ring": "has a hole",
}  # fmt: skip
COLORS = {
    "red": ("fire",), "green": ("grass", "a tree"), "blue": ("the sky", "the sea"), "yellow": ("the sun",),
    "purple": ("red and blue together",), "white": ("snow",),
}  # fmt: skip
VIEWS = {  # where something is the first, and how one has to look
    "leftmost": "left to right", "rightmost": "right to left", "topmost": "top to bottom",
    "bottommost": "bottom to top",
}  # fmt: skip
Ways = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thought:
    """What a question comes down to: the thing's place in the scene, phrases and sentences that ask for it, and why."""

    index: int
    phrases: Ways
    sentences: Ways
    reason: str


def called(scene: Scene, index: int) -> str:
    """A thing's name in an explanation."""
    return f"{scene.things[index].color} {scene.things[index].shape}"


def order(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """Asks for the outermost of several objects of one kind."""
    index = int(rng.integers(len(scene.things)))
    candidates = list(extremes(scene, index))
    if not candidates:
        return None
    extreme, wanted = pick(candidates, rng)
    name, all_of_them = noun(wanted), plural(wanted)
    return Thought(
        index,
        (f"the {extreme} of the {all_of_them}", f"the {extreme} one of all {all_of_them}"),
        (f"Which is the {extreme} {name}?", f"Which of the {all_of_them} is the {extreme}?"),
        f"the {called(scene, index)} is the {extreme} {name}",
    )


def extremes(scene: Scene, index: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields where a thing lies farthest out among those that share its shape, or its shape and color, and which."""
    thing = scene.things[index]
    for kinds in (("shape",), ("shape", "color")):
        wanted = {kind: getattr(thing, kind) for kind in kinds}
        rivals = [scene.things[other] for other in scene.having(wanted) if other != index]
        for extreme, axis in EXTREMES.items():
            if rivals and all(along(thing, axis) > along(rival, axis) + CLEAR for rival in rivals):
                yield extreme, wanted


def beside(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """The one of several of a shape that lies on one side of another thing."""
    index, other = (int(i) for i in rng.permutation(len(scene.things))[:2])
    thing, anchor = scene.things[index], names(scene, other)
    rivals = [scene.things[i] for i in scene.having({"shape": thing.shape}) if i != index]
    if not rivals or not anchor or scene.things[other] in rivals:
        return None
    side, axis = pick(tuple(SIDES.items()), rng)
    edge, where = along(scene.things[other], axis), f"{side} the {noun(anchor[0])}"
    if along(thing, axis) <= edge + CLEAR or any(along(rival, axis) >= edge - CLEAR for rival in rivals):
        return None
    return Thought(
        index,
        (f"the {thing.shape} that is {where}", f"the one of the {plural({'shape': thing.shape})} that is {where}"),
        (f"Which {thing.shape} is {where}?", f"Can you find the {thing.shape} that is {where}?"),
        f"the {called(scene, index)} is {where}",
    )


def among(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """The only one of its shape that is of its color, texture or size."""
    index, kind = int(rng.integers(len(scene.things))), pick(("color", "texture", "size"), rng)
    thing = scene.things[index]
    value, them = getattr(thing, kind), plural({"shape": thing.shape})
    if len(scene.having({"shape": thing.shape})) < 2 or scene.having({"shape": thing.shape, kind: value}) != [index]:
        return None
    return Thought(
        index,
        (f"the only one of the {them} that is {value}", f"the {value} one of the {them}"),
        (f"Which of the {them} is {value}?", f"Only one of the {them} is {value}. Which one?"),
        f"the {called(scene, index)} is the only {value} {thing.shape}",
    )


def clues(wanted: Mapping[str, str], rng: np.random.Generator) -> str:
    """Describes shape and color by common knowledge: "has a hole and has the color of snow"."""
    clauses = [SHAPES[wanted["shape"]]]
    clauses += [f"has the color of {pick(COLORS[wanted['color']], rng)}"] if "color" in wanted else []
    return " and ".join(clauses)


def known(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """The only one of its shape, or of that and its color or size."""
    index = int(rng.integers(len(scene.things)))
    unique = [wanted for wanted in names(scene, index) if "texture" not in wanted]
    if not unique:
        return None
    wanted = pick(unique[:2], rng)
    thing, clue = f"{wanted['size']} object" if "size" in wanted else "object", clues(wanted, rng)
    return Thought(
        index,
        (f"the {thing} that {clue}", f"the {thing} in the picture that {clue}"),
        (f"Which {thing} {clue}?", f"Which {thing} in the picture {clue}?", f"Can you find the {thing} that {clue}?"),
        f"the {called(scene, index)} {clue}",
    )


def first(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """Asks for the first of several objects from one side; common knowledge describes the objects."""
    index = int(rng.integers(len(scene.things)))
    candidates = list(extremes(scene, index))
    if not candidates:
        return None
    extreme, wanted = pick(candidates, rng)
    named, view = f"object that {clues(wanted, rng)}", VIEWS[extreme]
    return Thought(
        index,
        (f"the first {named} from {view}", f"the {named}, the first from {view}"),
        (f"If you look from {view}, which is the first {named}?", f"Which is the first {named} from {view}?"),
        f"the {called(scene, index)} is the {extreme} {noun(wanted)}",
    )


def largest(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """Asks for the only large thing, or for the only small one."""
    size = pick(("large", "small"), rng)
    indices = scene.having({"size": size})
    if len(indices) != 1:
        return None
    room = "most room" if size == "large" else "least room"
    return Thought(
        indices[0],
        (f"the object that takes the {room}", f"the object with the {room}"),
        (f"Which object takes the {room}?", f"Which object would need the {room} on a table?"),
        f"the {called(scene, indices[0])} is the only {size} object",
    )


def odd(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """The one that has its color, shape or texture alone, while every other shares its own."""
    kind = pick(("color", "shape", "texture"), rng)
    values = [getattr(thing, kind) for thing in scene.things]
    alone = [index for index, value in enumerate(values) if values.count(value) == 1]
    if len(alone) != 1:
        return None
    only = values[alone[0]] if kind == "shape" else f"{values[alone[0]]} object"
    return Thought(
        alone[0],
        (f"the object with a {kind} that no other object has", f"the only object of its {kind}"),
        (f"Which object has a {kind} that no other object has?", f"Which object is the only one of its {kind}?"),
        f"the {called(scene, alone[0])} is the only {only}",
    )


def like(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """The other one of the color or texture of a thing of another shape, which is named without it."""
    kind, index = pick(("color", "texture"), rng), int(rng.integers(len(scene.things)))
    value = getattr(scene.things[index], kind)
    others = [other for other in scene.having({kind: value}) if other != index]
    ways = [wanted for other in others for wanted in names(scene, other) if kind not in wanted]
    if len(others) != 1 or not ways or ways[0]["shape"] == scene.things[index].shape:
        return None
    anchor = noun(ways[0])
    return Thought(
        index,
        (f"the other object with the {kind} of the {anchor}", f"the object that has the {kind} of the {anchor} too"),
        (f"Which other object has the {kind} of the {anchor}?", f"What else has the {kind} of the {anchor}?"),
        f"the {called(scene, index)} is {value} like the {anchor}",
    )


def glance(scene: Scene, rng: np.random.Generator) -> Thought | None:
    """Asks for the salient thing."""
    if scene.salient is None:
        return None
    return Thought(
        scene.salient,
        ("the object that catches the eye first", "the object that stands out from all other objects"),
        (
            "If you look at the picture for a short time, which object do you see first?",
            "Which object catches the eye first?",
            "Which object would you see best from far?",
        ),
        words.reason(scene, rng),
    )


EASY, HARD = (order, beside, among), (known, first, largest, odd, like, glance)
WAYS: tuple[Callable[[Scene, np.random.Generator], Thought | None], ...] = 6 * EASY + HARD


def think(scene: Scene, rng: np.random.Generator) -> Thought:
    """One question: about five in six are easy ones."""
    while True:
        way = pick(WAYS, rng)
        for _ in range(20 if way in EASY else 4):
            if thought := way(scene, rng):
                return thought


def write_reasons(
    folder: Path, index: int, scene: Scene, masks: np.ndarray, rng: np.random.Generator
) -> dict[str, str]:
    """Writes the annotation of one scene, whose things have `masks` (things, H, W); returns its explanation."""
    thought, name = think(scene, rng), f"{index:06d}"
    sentences = bool(rng.random() < 0.5)
    ways = thought.sentences if sentences else thought.phrases
    asked = [ways[i] for i in rng.permutation(len(ways))[: rng.integers(1, TEXTS + 1)]]
    parts = outlines(masks[thought.index])
    shapes = [shape("target", part) for part in parts]
    if rng.random() < UNCLEAR:
        shapes.append(shape("ignore", square(pick(parts[0], rng))))
    size = {"imagePath": f"../images/{name}.png", "imageHeight": SIDE, "imageWidth": SIDE}
    record = {"text": asked, "is_sentence": sentences, "shapes": shapes, **size}
    (folder / FOLDER / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    explanation = {"image": f"{name}.png", "json": f"{name}.json", "query": asked[0], "outputs": thought.reason}
    return explanation | {"keyword": scene.things[thought.index].shape}


def shape(label: str, points: Sequence[tuple[int, int]]) -> dict:
    """A polygon as LabelMe writes it."""
    return {"label": label, "shape_type": "polygon", "points": [[int(x), int(y)] for x, y in points]}


def square(centre: tuple[int, int]) -> list[tuple[int, int]]:
    """A small square around a pixel, as far as it lies in the picture."""
    x, y = ([max(0, at - REACH), min(SIDE - 1, at + REACH)] for at in centre)
    return [(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])]
