"""The foundations' schooling: what is written is true, and what is noted stands where it says."""

import numpy as np
import pytest
import torch

from ullava.configs.tokens import IGNORE_INDEX, IMAGE, OWNERS
from ullava.datasets.tiny_world.scene import Scene, Thing, sample_motion, sample_scene
from ullava.models.tiny import tiny_tokenizer
from ullava.pretraining import language, segmenter, tower
from ullava.pretraining.cells import (
    CELL_WORDS,
    FIRST_X,
    GRID,
    INDEX,
    PLACES,
    cell_of,
    covered,
    write_motion,
    write_scene,
)
from ullava.pretraining.lessons import Lesson, lexicon, sample_row, write_row
from ullava.pretraining.loop import Loop

RING = Thing("ring", "red", "plain", "small", 30, 42, 10)
SCENE = Scene((RING, Thing("square", "blue", "dotted", "large", 70, 60, 15)))


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(
        lexicon(np.random.default_rng(0), scenes=300) + [f" {word}" for word in (*CELL_WORDS, *PLACES)]
    )


def test_a_centre_cell_says_everything_about_its_thing():
    # x 30 lies half way between the anchors 24 (x2) and 36 (x3); y 42 between 36 (y3) and 48 (y4).
    cell = write_scene(SCENE, None)[cell_of(30, 42)]
    said = {CELL_WORDS[i]: round(float(cell[i]), 3) for i in np.flatnonzero(cell)}
    assert said == {
        "r3": 1, "c2": 1, "thing": 1, "centre": 1, "vivid": 1, "small": 1, "plain": 1, "red": 1, "ring": 1,
        "x2": 0.5, "x3": 0.5, "y3": 0.5, "y4": 0.5, "w1": 0.333, "w2": 0.667,  # 20 pixels wide: 1.667 steps
    }  # fmt: skip


def test_every_thing_has_one_centre():
    rng = np.random.default_rng(1)
    for _ in range(50):
        scene = sample_scene(rng)
        centres = np.flatnonzero(write_scene(scene, None)[:, INDEX["centre"]])
        assert centres.tolist() == sorted({cell_of(thing.x, thing.y) for thing in scene.things})


def test_a_cell_is_covered_where_a_quarter_of_it_is():
    cells = covered(Scene((Thing("square", "red", "plain", "large", 48, 48, 12 / 0.84),)))
    # Half width 12 about the corner of four cells: exactly these four.
    assert cells == [[cell_of(42, 42), cell_of(54, 42), cell_of(42, 54), cell_of(54, 54)]]


def test_a_moving_thing_moves_the_means_of_its_frames():
    motion = sample_motion(np.random.default_rng(3))
    cells = write_motion(motion, None)
    assert cells.shape == (8 + GRID**2, len(CELL_WORDS))
    anchors = cells[:8, FIRST_X : FIRST_X + GRID + 1] @ np.arange(GRID + 1)
    assert np.ptp(anchors) > 0 or motion.direction in ("upwards", "downwards")


def test_only_answers_are_learnt_and_states_stand_before_the_cells(tokenizer):
    lesson = Lesson("attribute", "Find the cells of the ring.", "Sure. Cell: p26; ring.", (0,), ("ring",))
    row = write_row([lesson], write_scene(SCENE, None), IMAGE, SCENE, tokenizer, np.random.default_rng(0))
    answer = tokenizer.decode(row.input_ids[row.labels != IGNORE_INDEX])
    assert answer == " Sure. Cell: p26; ring.\n###"
    (state,) = row.states
    assert tokenizer.convert_ids_to_tokens(row.input_ids[state : state + 2].tolist()) == [":", "Ġp26"]
    assert np.flatnonzero(row.heat[0]).tolist() == [26] and PLACES[26] == "p26"
    np.testing.assert_allclose(row.boxes[0] * 96, [20, 32, 40, 52], rtol=1e-5)


def test_attribute_words_of_questions_know_what_they_mean(tokenizer):
    lesson = Lesson("color", "What color is the large square?", "blue")
    row = write_row([lesson], write_scene(SCENE, None), IMAGE, SCENE, tokenizer, np.random.default_rng(0))
    assert tokenizer.convert_ids_to_tokens(row.input_ids[row.named].tolist()) == ["Ġlarge", "Ġsquare"]
    assert [np.flatnonzero(heat).tolist() for heat in row.named_heat] == [[cell_of(70, 60)]] * 2


def test_no_lesson_says_what_the_heads_are_to_learn(tokenizer):
    rng = np.random.default_rng(5)
    for _ in range(50):
        text = tokenizer.decode(sample_row(rng, tokenizer).input_ids)
        assert "Mask:" not in text and "Location:" not in text
        assert not any(token in text for token in OWNERS)


def test_the_reader_learns_from_every_loss(tokenizer):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model, batch = language.Reader(tokenizer), language.collate([sample_row(rng, tokenizer) for _ in range(3)])
    total, parts = language.loss(model, batch)
    total.backward()
    assert all(value.isfinite() for value in parts.values())
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_the_tower_and_the_segmenter_learn_through_their_encoders():
    rng = np.random.default_rng(0)
    seer, cutter = tower.Seer(), segmenter.Cutter()
    tower.loss(seer, tower.sample(rng, 2))[0].backward()
    for way in segmenter.WAYS:
        segmenter.loss(cutter, segmenter.sample(rng, 2, way, 12))[0].backward()
    for encoder in (seer.clip, cutter.sam.vision_encoder):
        still = [name for name, p in encoder.named_parameters() if p.grad is None]
        assert [name for name in still if "post_layernorm" not in name] == []


def test_a_loop_goes_on_where_it_stopped(tmp_path):
    def loop(minutes):
        model = torch.nn.Linear(2, 1)
        batches = iter(lambda: torch.ones(4, 2), None)
        written = []
        made = Loop(
            model=model,
            batches=batches,
            loss=lambda m, x: ((m(x) - 1).square().mean(), {}),
            measure=lambda m: {"output": m(torch.ones(1, 2)).item()},
            export=lambda m, scores: written.append(scores),
            folder=tmp_path,
            minutes=minutes,
            rate=1e-2,
        )
        made.run()
        return written[-1]

    first, second = loop(0.005), loop(0.01)
    assert second["steps"] > first["steps"]
    assert abs(second["output"] - 1) <= abs(first["output"] - 1) + 1e-3
