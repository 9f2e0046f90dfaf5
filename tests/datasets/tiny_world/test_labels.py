"""The many classes of the embedded world, beside what its other files say of the same scenes."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.catalogue import open_dataset
from ullava.datasets.tiny_world.labels import CLASSES
from ullava.datasets.tiny_world.scene import SHAPES
from ullava.datasets.tiny_world.world import draw_world

COUNT = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return draw_world(root / "tiny_world", "tiny_val", COUNT, workers=1)


def test_a_color_and_a_shape_are_a_class():
    assert len(set(CLASSES)) == 36 and CLASSES[0] == "red circle"


def test_each_pixel_keeps_its_shape(world):
    for number in range(COUNT):
        paths = (world / folder / f"{number:06d}.png" for folder in ("labels_fine", "labels"))
        fine, shapes = (np.asarray(Image.open(path)) for path in paths)
        assert np.array_equal(np.where(fine > 0, (fine - 1) % len(SHAPES) + 1, 0), shapes)


def test_the_caption_says_the_classes_that_are_there(world, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(world.parents[1]))
    captions = json.loads((world / "captions.json").read_text())["annotations"]
    reader = open_dataset("tiny_val", "multi_target")
    for number, sample in enumerate(reader[n] for n in range(COUNT)):
        caption = next(one["caption"] for one in captions if one["image_id"] == number)
        things = caption.replace(" and ", ", ").split(", ")
        assert {region.category for region in sample.regions} == {" ".join(thing.split()[-2:]) for thing in things}
        assert {region.category for region in sample.regions} | set(sample.absent) == set(CLASSES)
        assert sample.ignored is None  # what shows nothing is no place to draw
