"""What is said about the embedded world: true, unique, and relational often enough."""

from collections import Counter

import numpy as np
import pytest

from ullava.datasets.catalogue import find
from ullava.datasets.tiny_world import words
from ullava.datasets.tiny_world.scene import DIRECTIONS, Motion, Scene, Thing, sample_scene

RNG = np.random.default_rng


def thing(text: str, x: float, y: float = 48) -> Thing:
    size, texture, color, shape = text.split()
    return Thing(shape, color, texture, size, x, y, {"small": 9.0, "large": 15.0}[size])


SCENE = Scene(
    (
        thing("small plain red ring", 12),
        thing("large plain red ring", 35),
        thing("small dotted blue ring", 60, 20),
        thing("small plain red square", 85, 70),
    )
)


@pytest.fixture(scope="module")
def scenes():
    rng = RNG(11)
    return [sample_scene(rng) for _ in range(200)]


def test_a_caption_names_everything_from_left_to_right():
    assert words.caption(SCENE) == (
        "a small plain red ring, a large plain red ring, a small dotted blue ring and a small plain red square"
    )


def test_the_shortest_unique_attributes_are_found():
    assert {"size": "small", "color": "red", "shape": "ring"} in words.names(SCENE, 0)
    assert {len(wanted) for wanted in words.names(SCENE, 0)} == {3, 4}
    assert words.names(SCENE, 1)[0] == {"size": "large", "shape": "ring"}
    assert words.names(SCENE, 3)[0] == {"shape": "square"}


def test_attribute_phrases_fit_one_thing(scenes):
    rng = RNG(0)
    for scene in scenes:
        for index in range(len(scene.things)):
            said = words.attribute_phrase(scene, index, rng)
            if said:
                tokens = said.split()
                fitting = [t for t in scene.things if all(w in words.whole(t).split() for w in tokens)]
                assert fitting == [scene.things[index]]


def test_relational_phrases_are_true_and_needed():
    rng = RNG(0)
    said = {words.relational_phrase(SCENE, 0, rng) for _ in range(100)}
    assert "leftmost ring" in said
    assert "topmost ring" not in said  # thing 2 is higher
    said = {words.relational_phrase(SCENE, 2, rng) for _ in range(100)}
    assert "topmost ring" in said
    # The noun alone fits three rings, "above the square" fits all of them: never said of one.
    assert not any(text and text.endswith("above the square") for text in said)


def test_a_relational_phrase_begins_with_words_that_fit_several(scenes):
    rng = RNG(1)
    for scene in scenes[:100]:
        for index in range(len(scene.things)):
            said = words.relational_phrase(scene, index, rng)
            if said is None:
                continue
            assert words.is_relational(said)
            noun = said.split(" the ")[0].split()
            noun = [w for w in noun if w not in ("left", "right", "of", "above", "below") and w not in words.EXTREMES]
            assert sum(all(w in words.whole(t).split() for w in noun) for t in scene.things) > 1


def test_a_third_of_the_phrases_or_more_need_a_relation(scenes):
    rng = RNG(2)
    said = [words.phrase(s, i, rng) for s in scenes for i in range(len(s.things)) if s.has_distractors(i)]
    assert np.mean([text is not None and words.is_relational(text) for text in said]) >= 0.3


def test_questions_come_in_the_promised_shares(scenes):
    rng = RNG(3)
    kinds = Counter(words.ask(scene, rng).kind for scene in scenes for _ in range(10))
    attribute = sum(kinds[kind] for kind in ("color", "shape", "texture", "size"))
    shares = {"attribute": attribute, **{kind: kinds[kind] for kind in ("count", "existence", "relation")}}
    for kind, share in {"attribute": 0.45, "count": 0.15, "existence": 0.25, "relation": 0.15}.items():
        assert abs(shares[kind] / 2000 - share) < 0.04, kind


def test_yes_is_as_frequent_as_no(scenes):
    rng = RNG(4)
    for way in (words.ask_existence, words.ask_relation):
        answers = [asked.answer for scene in scenes for asked in [way(scene, rng)] if asked]
        assert abs(answers.count("yes") / len(answers) - 0.5) < 0.12


def test_answers_are_true():
    rng = RNG(5)
    asked = {a.question: a.answer for a in (words.ask(SCENE, rng) for _ in range(600))}
    assert asked["How many rings are there?"] == "3"
    assert asked["Is there a blue ring?"] == "yes"
    assert asked["What color is the square?"] == "red"
    assert asked.get("Is the square left of the large ring?", "no") == "no"


def test_near_ties_are_not_asked_about():
    scene = Scene((thing("small plain red ring", 40), thing("small plain blue square", 43)))
    rng = RNG(6)
    asked = [words.ask_relation(scene, rng) for _ in range(50)]
    assert asked == [None] * 50


def test_motion_captions_say_what_and_whither():
    captions = words.motion_captions(Motion(SCENE, 2, "to the right", 30))
    assert len(set(captions)) == 4
    assert all("ring moves to the right" in text or "ring is moving to the right" in text for text in captions)


def test_only_salient_scenes_have_a_reason():
    scene = Scene(SCENE.things, salient=3)
    assert "red square" in words.reason(scene, RNG(0))


@pytest.mark.parametrize("split", ["tiny_train", "tiny_val", "tiny_test"])
def test_the_catalogue_lists_the_words_that_can_stand_for_each_other(split):
    """The order counts, too: a baseline draws from them by place."""
    assert find(split, {})["attributes"] == [*map(list, words.WORDS.values()), list(DIRECTIONS)]
