"""Lessons for the language model: a scene or a motion in words, questions about it, and answers.

Eight turns or so a row, in the conversation that the stages use. Regions are answered by the names of cells; the
questions use the verbs of `tasks/phrases/phrasebook.py` but never its very sentences, and "Mask:" is never written,
since a habit after the same words delays the owner tokens later. Each state that is about to name the cells of a region
is noted, and learns to predict what and where the region is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from transformers import PreTrainedTokenizerFast

from ullava.configs.tokens import BEGIN, END, IGNORE_INDEX, IMAGE, PATCH, VIDEO
from ullava.datasets.structures import Turn
from ullava.datasets.tiny_world import words
from ullava.datasets.tiny_world.scene import SHAPES, SIDE, Scene, sample_motion, sample_scene
from ullava.models.text.conversation import CONVERSATIONS
from ullava.pretraining.cells import ATTRIBUTES, GRID, PLACES, cell_of, write_motion, write_scene
from ullava.tasks.phrases import phrasebook as phrases

REGION = (
    "Segment the {0} by cells.", "Can you segment the {0} by cells?", "Please segment and locate the {0} by cells.",
    "Find the cells of the {0}.", "Locate the {0} by cells.", "Can you help me to find the cells of the {0}?",
    "Output the cells of the {0} in the image.", "Look at the image, segment and locate the cells of the {0}.",
    "What is {0} in this image? Please respond with cells.", "Give me the cells of the {0} in this image.",
    "Show me with cells where the {0} is.", "Can you locate the cells of the {0}?", "In which cells is the {0}?",
)  # fmt: skip
SALIENT = (
    "Find the cells of the salient object in the picture.", "Segment the main part by cells. Then give the reason.",
    "What is salient in this image? Please respond with cells and tell me why.",
    "Look at the image, segment the main object by cells and explain.",
    "Output the cells of the salient part in the image and the reason.",
)  # fmt: skip
COMMON = """the be to of and a in that have it for not on with he as you do at this but his by from they we say her she
or an will my one all would there their what so up out if about who get which go me when make can like time no just him
know take people into year your good some could them see other than then now look only come its over think also back
after use two how our work first well way even new want because any these give day most us man woman boy girl dog cat
horse bird car bus train street road room table chair water food tree grass sky sea beach snow ball game player people
person child group small big white black red blue green brown gray orange pink young old sitting standing holding
playing riding walking running eating looking wearing near behind front side under above below left right top bottom
middle center next between around through many few several three four five six seven eight nine ten number picture
image photo video clip scene object thing shape color size texture box mask region pixel area background"""
DESCRIBE = (*phrases.DESCRIBE_PICTURE.drawn, phrases.DESCRIBE_PICTURE.eval_question)
DESCRIBE_VIDEO = (*phrases.DESCRIBE_VIDEO.drawn, phrases.DESCRIBE_VIDEO.eval_question)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question and its answer; `targets` are the things whose cells it names, `about` the attributes asked for."""

    kind: str
    question: str
    answer: str
    targets: tuple[int, ...] = ()
    about: tuple[str, ...] = ()


def region(scene: Scene, rng: np.random.Generator, kind: str) -> Lesson | None:
    """Asks for the cells of one thing (kind "attribute" or "relational") or of all of a sort (kind "class")."""
    if kind == "class":
        shape_only = rng.random() < 0.7
        wanted = {"shape": words.pick(scene.things, rng).shape} if shape_only else words.wanted_attributes(scene, rng)
        targets, phrase = scene.having(wanted), words.noun(wanted)
        about, name = tuple(wanted.values()), wanted.get("shape", "object")
    else:
        index = int(rng.integers(len(scene.things)))
        way = words.relational_phrase if kind == "relational" else words.attribute_phrase
        phrase, targets, thing = way(scene, index, rng), [index], scene.things[index]
        about, name = (thing.size, thing.texture, thing.color, thing.shape), thing.shape
    if not targets or not phrase:
        return None
    answer = f"Sure. Cell: {cells(scene, targets)}; {name}."
    if rng.random() < 0.5:
        answer = f"Sure. Cell: {cells(scene, targets)}; Spot: {cells(scene, targets)}; {name}."
    return Lesson(kind, words.pick(REGION, rng).format(phrase), answer, tuple(targets), about)


def cells(scene: Scene, targets: list[int]) -> str:
    """The names of the things' central cells, in the order of the grid."""
    return ", ".join(PLACES[i] for i in sorted(cell_of(scene.things[t].x, scene.things[t].y) for t in targets))


def salient(scene: Scene, rng: np.random.Generator) -> Lesson | None:
    """Asks which thing stands out and why."""
    if scene.salient is None:
        return None
    thing = scene.things[scene.salient]
    if rng.random() < 0.3:
        return Lesson("reason", "Which object stands out, and why?", words.reason(scene, rng))
    answer = f"Sure. Cell: {cells(scene, [scene.salient])}; {thing.shape}. Explanation: {words.reason(scene, rng)}"
    about = (thing.size, thing.texture, thing.color, thing.shape)
    return Lesson("salient", words.pick(SALIENT, rng), answer, (scene.salient,), about)


def look(scene: Scene, rng: np.random.Generator) -> Lesson:
    """Asks what a cell holds, or where a thing is."""
    thing = words.pick(scene.things, rng)
    index = scene.things.index(thing)
    name = words.attribute_phrase(scene, index, rng)
    if name and rng.random() < 0.5:
        return Lesson("where", f"Where in the picture is the {name}?", words.places(thing))
    return Lesson("look", f"What is in cell {PLACES[cell_of(thing.x, thing.y)]}?", words.whole(thing))


def asked(scene: Scene, rng: np.random.Generator) -> Lesson:
    """Draws a question of the embedded world's own; attributes are tried twice as often as each other kind."""
    ways = (words.ask_attribute, words.ask_attribute, words.ask_count, words.ask_existence, words.ask_relation)
    while True:
        question = words.pick(ways, rng)(scene, rng)
        if question:
            return Lesson(question.kind, question.question, question.answer)


def scene_lessons(scene: Scene, rng: np.random.Generator) -> list[Lesson]:
    """About eight turns on one scene, in random order."""
    lessons: list[Lesson | None] = [asked(scene, rng) for _ in range(4)]
    lessons += [region(scene, rng, kind) for kind in ("attribute", "relational", "class")]
    lessons.append(salient(scene, rng) or look(scene, rng))
    if rng.random() < 0.5:
        lessons.append(Lesson("caption", words.pick(DESCRIBE, rng), words.caption(scene)))
    if rng.random() < 0.1:
        lessons.append(Lesson("chat", *words.pick(words.CHAT, rng)))
    lessons = [lesson for lesson in lessons if lesson]
    return [lessons[i] for i in rng.permutation(len(lessons))]


@dataclass(frozen=True, slots=True)
class TokenizedLesson:
    """One row in numbers; T tokens, P picture tokens, R states that are about to name a region.

    Attributes:
        input_ids, labels, weights, kinds: (T,); `kinds` is the lesson's number where labelled.
        picture: (P, words) weights of words; `first` is the position of the first one.
        states: (R,) positions; boxes (R, 4) of 1, NaN for several targets; about (R, attributes); heat (R, 64).
        named: positions of the questions' attribute words; what they mean so far, as boxes and heat.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    lessons: np.ndarray
    kinds: tuple[str, ...]
    picture: np.ndarray
    first: int
    states: np.ndarray
    boxes: np.ndarray
    about: np.ndarray
    heat: np.ndarray
    named: np.ndarray
    named_boxes: np.ndarray
    named_heat: np.ndarray


def sample_row(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast, drop: float = 0.04) -> TokenizedLesson:
    """Draws one row: nine in ten about a scene, the others about a motion."""
    if rng.random() < 0.1:
        motion = sample_motion(rng)
        question = words.pick(DESCRIBE_VIDEO, rng)
        lessons = [Lesson("motion", question, words.pick(words.motion_captions(motion), rng))]
        return write_row(lessons, write_motion(motion, rng), VIDEO, motion.scene, tokenizer, rng)
    scene = sample_scene(rng)
    picture = write_scene(scene, rng if drop else None, drop)
    return write_row(scene_lessons(scene, rng), picture, IMAGE, scene, tokenizer, rng)


def write_row(
    lessons: Sequence[Lesson],
    picture: np.ndarray,
    medium: str,
    scene: Scene,
    tokenizer: PreTrainedTokenizerFast,
    rng: np.random.Generator,
) -> TokenizedLesson:
    """Writes the lessons in the conversation `simple`; also returns the positions of answers and noted states."""
    shown = f"{BEGIN[medium]}{PATCH[medium] * len(picture)}{END[medium]}"
    first = lessons[0].question
    first = f"{shown}\n{first}" if medium == IMAGE else f"{first}{shown}"  # as models/batching/processor.py places them
    turns = [Turn(lesson.question if i else first, lesson.answer) for i, lesson in enumerate(lessons)]
    script = CONVERSATIONS["simple"].write(turns)
    text = str(tokenizer.bos_token) * int(rng.integers(2)) + script.text
    shift = len(text) - len(script.text)
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    ids, starts = np.array(encoded["input_ids"]), np.array(encoded["offset_mapping"])[:, 0]
    labels, weights = np.full(len(ids), IGNORE_INDEX), np.zeros(len(ids), np.float32)
    numbers = np.full(len(ids), -1)
    noted: list[tuple[int, Lesson]] = []
    for number, (lesson, (begin, end)) in enumerate(zip(lessons, script.answers, strict=True)):
        span = slice(*np.searchsorted(starts, (begin + shift, end + shift)))
        labels[span], numbers[span] = ids[span], number
        weights[span] = min(1.0, 8 / (span.stop - span.start))
        for mark in ("Cell:", "Spot:"):
            if lesson.targets and mark in lesson.answer:
                at = begin + shift + 1 + lesson.answer.index(mark) + len(mark)
                noted.append((int(np.searchsorted(starts, at)) - 1, lesson))
    first = int(np.flatnonzero(ids == tokenizer.convert_tokens_to_ids(PATCH[medium]))[0])
    kinds = tuple(lesson.kind for lesson in lessons)
    word_meanings = meanings(scene, ids, labels, attribute_ids(tokenizer))
    return TokenizedLesson(ids, labels, weights, numbers, kinds, picture, first, *aims(scene, noted), *word_meanings)


@cache
def attribute_ids(tokenizer: PreTrainedTokenizerFast) -> dict[int, tuple[str, str]]:
    """Token id of an attribute's word, singular or plural -> its kind and word."""
    attributes = {}
    for kind, known in words.WORDS.items():
        for word in known:
            for form in {word, words.plural({"shape": word})} if kind == "shape" else {word}:
                attributes[tokenizer(f" {form}", add_special_tokens=False)["input_ids"][0]] = (kind, word)
    return attributes


def meanings(
    scene: Scene, ids: np.ndarray, labels: np.ndarray, known: dict[int, tuple[str, str]]
) -> tuple[np.ndarray, ...]:
    """Returns positions of attribute words in the questions, and which things match the words up to each.

    "red" means all red things, "red ring" those that are both: grounding every word, not only every answer, is what
    makes a small model learn to look things up within minutes.
    """
    positions, boxes, heat = [], [], []
    wanted: dict[str, str] = {}
    for position, token in enumerate(ids.tolist()):
        if token not in known or labels[position] != IGNORE_INDEX:
            wanted = {}
            continue
        kind, word = known[token]
        wanted = {**wanted, kind: word}
        fitting = [scene.things[i] for i in scene.having(wanted)]
        positions.append(position)
        boxes.append(
            np.array(fitting[0].box, np.float32) / SIDE if len(fitting) == 1 else np.full(4, np.nan, np.float32)
        )
        heat.append(np.zeros(GRID * GRID, np.float32))
        heat[-1][[cell_of(thing.x, thing.y) for thing in fitting]] = 1
    count = len(positions)
    return (
        np.array(positions, int),
        np.array(boxes, np.float32).reshape(count, 4),
        np.array(heat).reshape(count, GRID**2),
    )


def aims(scene: Scene, noted: list[tuple[int, Lesson]]) -> tuple[np.ndarray, ...]:
    """The targets of the noted states: positions, boxes, attributes asked for, cells."""
    boxes = np.full((len(noted), 4), np.nan, np.float32)
    about = np.zeros((len(noted), len(ATTRIBUTES)), np.float32)
    heat = np.zeros((len(noted), GRID * GRID), np.float32)
    for i, (_, lesson) in enumerate(noted):
        if len(lesson.targets) == 1:
            boxes[i] = np.array(scene.things[lesson.targets[0]].box) / SIDE
        about[i, [ATTRIBUTES.index(word) for word in lesson.about]] = 1
        heat[i, [cell_of(scene.things[t].x, scene.things[t].y) for t in lesson.targets]] = 1
    return np.array([position for position, _ in noted], int), boxes, about, heat


def lexicon(rng: np.random.Generator, scenes: int = 3000) -> list[str]:
    """Returns sentences with every word of the world's texts and of the stages' prompts."""
    texts = []
    for _ in range(scenes):
        scene, motion = sample_scene(rng), sample_motion(rng)
        texts += [t for lesson in scene_lessons(scene, rng) for t in (lesson.question, " " + lesson.answer)]
        texts += [" " + text for text in words.motion_captions(motion)]
    for book in phrases.PHRASEBOOKS.values():
        for questions in (book.segment, book.locate, book.salient):
            texts += [*questions.drawn, questions.eval_question]
    texts += [*DESCRIBE, *DESCRIBE_VIDEO, *REGION, *SALIENT, *COMMON.split()]
    texts += [text.replace(phrases.SLOT, "red ring") for text in texts if phrases.SLOT in text]
    texts = [text.replace(phrases.SLOT, "").replace("{0}", "") for text in texts]
    texts += [" " + text for text in texts] + [f" {shape}s {shape}" for shape in SHAPES]
    return texts + [
        " Sure. Mask: ; Location: ; Explanation: .",
        "\n\n###Human: \n###Assistant: \n###",
        "USER: ASSISTANT:",
    ]
