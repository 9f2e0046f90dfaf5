"""What the embedded world promises of its scenes, measured on two hundred of them."""

import numpy as np
import pytest

from ullava.datasets.tiny_world.pixels import draw, draw_motion, masks
from ullava.datasets.tiny_world.scene import COLORS, DIRECTIONS, SHAPES, SIDE, Scene, Thing, sample_motion, sample_scene


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(7)
    return [sample_scene(rng) for _ in range(200)]


def test_every_scene_has_five_things_or_more(scenes):
    assert min(len(scene.things) for scene in scenes) >= 5


def test_every_shape_and_color_is_drawn(scenes):
    things = [thing for scene in scenes for thing in scene.things]
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.color for thing in things} == set(COLORS)


def test_at_most_three_things_are_large(scenes):
    assert max(sum(thing.size == "large" for thing in scene.things) for scene in scenes) <= 3


def test_things_stand_from_left_to_right(scenes):
    for scene in scenes:
        xs = [thing.x for thing in scene.things]
        assert xs == sorted(xs)


def test_things_hide_next_to_nothing_of_each_other(scenes):
    for scene in scenes:
        alone = [masks(Scene((thing,)))[0].sum() for thing in scene.things]
        assert (masks(scene).sum((1, 2)) >= 0.97 * np.array(alone)).all()


def test_the_median_thing_covers_less_than_a_tenth(scenes):
    areas = [mask.sum() / SIDE**2 for scene in scenes for mask in masks(scene)]
    assert np.median(areas) < 0.1


def test_every_scene_has_a_thing_with_rivals_of_its_shape_and_color(scenes):
    for scene in scenes:
        index = next(i for i in range(len(scene.things)) if scene.has_distractors(i))
        thing = scene.things[index]
        others = [t for i, t in enumerate(scene.things) if i != index]
        assert any(t.shape == thing.shape for t in others)
        assert any(t.color == thing.color for t in others)


def test_a_quarter_of_the_scenes_has_one_vivid_thing_among_faint_ones(scenes):
    salient = [scene for scene in scenes if scene.salient is not None]
    assert 0.15 < len(salient) / len(scenes) < 0.4
    for scene in salient:
        assert [thing.vivid for thing in scene.things] == [i == scene.salient for i in range(len(scene.things))]


def test_the_salient_thing_is_often_not_the_largest(scenes):
    salient = [scene for scene in scenes if scene.salient is not None]
    largest = [int(np.argmax(masks(scene).sum((1, 2)))) == scene.salient for scene in salient]
    assert np.mean(largest) < 0.5


def test_a_faint_thing_differs_less_from_the_ground():
    thing = Thing("square", "white", "plain", "large", 48, 48, 16)
    faint = Thing("square", "white", "plain", "large", 48, 48, 16, vivid=False)
    inside = masks(Scene((thing,)))[0]
    vivid, dull = (draw(Scene((t,)), np.random.default_rng(3)).astype(float)[inside].mean() for t in (thing, faint))
    assert vivid > dull + 50


def test_a_square_of_radius_ten_covers_the_pixels_of_its_box():
    # Half width 0.84 x 10 = 8.4 about 48: centres of pixels 39.5 to 56.5 lie within 39.6 to 56.4, that is 40 to 55.
    drawn = masks(Scene((Thing("square", "red", "plain", "small", 48, 48, 10),)))[0]
    ys, xs = np.nonzero(drawn)
    assert (xs.min(), xs.max(), ys.min(), ys.max(), drawn.sum()) == (40, 55, 40, 55, 16 * 16)


def test_a_ring_is_hollow():
    drawn = masks(Scene((Thing("ring", "red", "plain", "large", 48, 48, 16),)))[0]
    assert not drawn[48, 48] and drawn[48, 48 + 12]


def test_boxes_hold_their_masks(scenes):
    for scene in scenes[:50]:
        for thing, mask in zip(scene.things, masks(scene), strict=True):
            ys, xs = np.nonzero(mask)
            found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            assert np.abs(found - thing.box).max() < 2.5  # a ring or a circle may miss the last pixel row


def test_motions_go_where_they_say_and_touch_nothing():
    rng = np.random.default_rng(2)
    for _ in range(20):
        motion = sample_motion(rng)
        start, end = motion.at(0).things[motion.mover], motion.at(1).things[motion.mover]
        dx, dy = DIRECTIONS[motion.direction]
        assert (end.x - start.x) * dx + (end.y - start.y) * dy >= 28
        assert np.sign([end.x - start.x, end.y - start.y]).tolist() == [dx, dy]


def test_only_the_mover_changes_place():
    rng = np.random.default_rng(5)
    motion = sample_motion(rng)
    video = draw_motion(motion, 8, rng)
    assert video.shape == (8, SIDE, SIDE, 3)
    moved = (np.abs(video[0].astype(int) - video[-1]) > 40).any(-1)
    inside = masks(motion.at(0))[motion.mover] | masks(motion.at(1))[motion.mover]
    assert moved[inside].mean() > 0.4 and moved[~inside].mean() < 0.01
