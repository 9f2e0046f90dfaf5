"""Texts about a scene of the embedded world: captions, phrases, questions, answers and reasons.

An attribute phrase names a thing by as few attributes as are unique ("large red ring"); a relational one begins with
words that fit several things and needs a place or a neighbour ("leftmost ring", "circle above the dotted square").
Near ties are never asked about: a relation holds by `CLEAR` pixels, or fails by as many.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ullava.datasets.tiny_world.scene import COLORS, SHAPES, SIDE, TEXTURES, TRAITS, Motion, Scene, Thing

CLEAR = 5.0  # pixels
SIDES = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
EXTREMES = {"leftmost": (-1, 0), "rightmost": (1, 0), "topmost": (0, -1), "bottommost": (0, 1)}
WORDS = {"size": ("small", "large"), "texture": TEXTURES, "color": COLORS, "shape": SHAPES}
REASONS = (
    "the vivid {0} stands out among faint objects",
    "only the {0} is drawn in a strong color",
    "the {0} is vivid while all other objects are faint",
)
MOTIONS = (
    "a {size} {texture} {color} {shape} moves {way}",
    "the {color} {shape} moves {way}",
    "a {size} {color} {shape} is moving {way}",
    "the {texture} {color} {shape} moves {way}",
)
CHAT = (  # questions without a picture
    ("What is a circle?", "A circle is a round shape."),
    ("How many sides does a triangle have?", "A triangle has three sides."),
    ("How many sides does a square have?", "A square has four equal sides."),
    ("What is a mask?", "A mask says for every pixel whether it belongs to the object."),
    ("What is a location?", "The location of an object is where it is in the picture."),
    ("What is a bounding box?", "It is the smallest box around an object."),
    ("What does salient mean?", "A salient object is the one that stands out."),
    ("What is a ring?", "A ring is a circle with a hole."),
    ("Which shape looks like a plus sign?", "The cross looks like a plus sign."),
    ("Name two colors.", "Red and blue are colors."),
    ("What do you get from red and blue?", "Red and blue give purple."),
    ("Can you help me?", "Yes, ask me about a picture."),
    ("Hello!", "Hello, what can I do for you?"),
    ("What is a diamond shape?", "A diamond is a square that stands on a corner."),
)
Wanted = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its short answer; `kind` is color, shape, texture, size, count, existence or relation."""

    kind: str
    question: str
    answer: str


def pick(items, rng: np.random.Generator):
    """One of `items`."""
    return items[int(rng.integers(len(items)))]


def noun(wanted: Wanted) -> str:
    """Writes attributes as a noun phrase, in English order; without a shape the noun is "object"."""
    return " ".join([wanted[kind] for kind in TRAITS[:3] if kind in wanted] + [wanted.get("shape", "object")])


def plural(wanted: Wanted) -> str:
    """The same for several: "red crosses", "objects"."""
    word = noun(wanted)
    return word + ("es" if word.endswith("s") else "s")


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def whole(thing: Thing) -> str:
    """All attributes: "large dotted blue circle"."""
    return f"{thing.size} {thing.texture} {thing.color} {thing.shape}"


def caption(scene: Scene) -> str:
    """All things from left to right."""
    names = [article(whole(thing)) for thing in scene.things]
    return ", ".join(names[:-1]) + " and " + names[-1]


def reason(scene: Scene, rng: np.random.Generator) -> str:
    """Returns the sentence that explains why the salient thing stands out."""
    assert scene.salient is not None, "only a scene with a salient object has a reason"
    thing = scene.things[scene.salient]
    return pick(REASONS, rng).format(f"{thing.color} {thing.shape}")


def motion_captions(motion: Motion) -> list[str]:
    """Returns several captions of what moves and in which direction."""
    thing = motion.scene.things[motion.mover]
    words = {kind: getattr(thing, kind) for kind in TRAITS}
    return [text.format(way=motion.direction, **words) for text in MOTIONS]


def names(scene: Scene, index: int, *, bare: bool = False) -> list[dict[str, str]]:
    """Attribute sets that fit this thing alone, smallest first; with `bare`, also ones without the shape."""
    thing = scene.things[index]
    unique = []
    for count in range(4):
        for kinds in combinations(TRAITS[:3], count):
            for tail in ((), ("shape",)) if bare else (("shape",),):
                wanted = {kind: getattr(thing, kind) for kind in kinds + tail}
                if wanted and scene.having(wanted) == [index]:
                    unique.append(wanted)
    return sorted(unique, key=len)


def attribute_phrase(scene: Scene, index: int, rng: np.random.Generator) -> str | None:
    """A shortest unique phrase, one time in four with one attribute more; None where attributes do not suffice."""
    unique = names(scene, index)
    if not unique:
        return None
    length = len(unique[0]) + int(rng.random() < 0.25)
    return noun(pick([w for w in unique if len(w) == length] or unique[:1], rng))


def along(thing: Thing, axis: tuple[int, int]) -> float:
    """Returns the thing's coordinate along a direction, in pixels."""
    return axis[0] * thing.x + axis[1] * thing.y


def relational_phrase(scene: Scene, index: int, rng: np.random.Generator) -> str | None:
    """A phrase whose attributes fit several things and whose relation leaves one; None where there is none."""
    target = scene.things[index]
    options = []
    for kinds in ((), ("color",), ("size",), ("texture",)):
        wanted = {kind: getattr(target, kind) for kind in (*kinds, "shape")}
        rivals = [scene.things[i] for i in scene.having(wanted) if i != index]
        if not rivals:
            continue
        for word, axis in EXTREMES.items():
            if all(along(target, axis) > along(rival, axis) + CLEAR for rival in rivals):
                options.append((f"{word} {noun(wanted)}", None))
        for anchor_index, anchor in enumerate(scene.things):
            if anchor_index != index and anchor not in rivals:
                for word, axis in SIDES.items():
                    edge = along(anchor, axis)
                    if along(target, axis) > edge + CLEAR and all(along(r, axis) < edge - CLEAR for r in rivals):
                        options.append((f"{noun(wanted)} {word} the", anchor_index))
    if not options:
        return None
    sides = [option for option in options if option[1] is not None]
    text, anchor_index = pick(sides if sides and rng.random() < 0.6 else options, rng)
    if anchor_index is None:
        return text
    anchors = names(scene, anchor_index)
    return f"{text} {noun(anchors[0])}" if anchors else None


def is_relational(phrase: str) -> bool:
    """Whether a phrase of this world uses a relation."""
    words = phrase.split()
    return any(word in words for word in (*EXTREMES, "left", "right", "above", "below"))


def phrase(scene: Scene, index: int, rng: np.random.Generator, relational: float = 0.45) -> str | None:
    """One referring phrase for a thing, relational with the given probability where both kinds exist."""
    ways = [relational_phrase, attribute_phrase] if rng.random() < relational else [attribute_phrase, relational_phrase]
    return ways[0](scene, index, rng) or ways[1](scene, index, rng)


def ask(scene: Scene, rng: np.random.Generator) -> Asked:
    """One question: 45 % attribute, 15 % count, 25 % existence, 15 % relation."""
    while True:
        way = pick(ASKING, rng)
        for _ in range(20):
            asked = way(scene, rng)
            if asked is not None:
                return asked


def ask_attribute(scene: Scene, rng: np.random.Generator) -> Asked | None:
    """Asks for one attribute of a thing, which the other attributes name."""
    kind, index = pick(TRAITS, rng), int(rng.integers(len(scene.things)))
    unique = [w for w in names(scene, index, bare=True) if kind not in w]
    if not unique:
        return None
    question = {
        "color": "What color is the {0}?",
        "shape": "What shape is the {0}?",
        "texture": "Is the {0} plain, striped or dotted?",
        "size": "Is the {0} small or large?",
    }[kind]
    return Asked(kind, question.format(noun(pick(unique[:2], rng))), getattr(scene.things[index], kind))


def wanted_attributes(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """Draws one or two attributes to count or search by; in a quarter of the draws one of them is random."""
    thing = pick(scene.things, rng)
    kinds = pick((("shape",), ("color",), ("color", "shape"), ("texture", "shape"), ("size", "shape"), ("size",)), rng)
    wanted = {kind: getattr(thing, kind) for kind in kinds}
    if rng.random() < 0.25:
        kind = pick(kinds, rng)
        wanted[kind] = pick(WORDS[kind], rng)
    return wanted


def ask_count(scene: Scene, rng: np.random.Generator) -> Asked:
    """Asks how many things have one or two attributes."""
    wanted = {} if rng.random() < 0.1 else wanted_attributes(scene, rng)
    return Asked("count", f"How many {plural(wanted)} are there?", str(len(scene.having(wanted))))


def ask_existence(scene: Scene, rng: np.random.Generator) -> Asked:
    """Whether there is a thing with two attributes: yes as often as no; a no differs in one word from a thing."""
    there = rng.random() < 0.5
    while True:
        thing, kind = pick(scene.things, rng), pick(TRAITS[:3], rng)
        wanted = {kind: getattr(thing, kind), "shape": thing.shape}
        if rng.random() < 0.3:
            del wanted["shape" if kind == "color" else kind]
        if not there:
            changed = pick(tuple(wanted), rng)
            wanted[changed] = pick(WORDS[changed], rng)
        if bool(scene.having(wanted)) == there:
            return Asked("existence", f"Is there {article(noun(wanted))}?", "yes" if there else "no")


def ask_relation(scene: Scene, rng: np.random.Generator) -> Asked | None:
    """Whether one thing lies on a given side of another: yes as often as no."""
    first, second = (int(i) for i in rng.permutation(len(scene.things))[:2])
    word, axis = pick(tuple(SIDES.items()), rng)
    gap = along(scene.things[first], axis) - along(scene.things[second], axis)
    ends = [names(scene, index) for index in (first, second)]
    if abs(gap) < CLEAR or not all(ends):
        return None
    text = f"Is the {noun(ends[0][0])} {word} the {noun(ends[1][0])}?"
    return Asked("relation", text, "yes" if gap > 0 else "no")


ASKING = (ask_attribute,) * 9 + (ask_count,) * 3 + (ask_existence,) * 5 + (ask_relation,) * 3


def places(thing: Thing) -> str:
    """Where a thing is in plain words: "in the top left"."""
    words = [("left", "middle", "right"), ("top", "middle", "bottom")]
    x, y = (words[axis][min(2, int(3 * value / SIDE))] for axis, value in enumerate((thing.x, thing.y)))
    return "in the middle" if x == y else f"in the {y} {x}"
