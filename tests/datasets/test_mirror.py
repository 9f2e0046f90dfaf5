"""A mirror exchanges left and right, of pixels and facts alike."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ullava.datasets import images
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.mirror import mirror
from ullava.datasets.structures import Picture, Region, Sample, Video

DRAWN = np.zeros((4, 6), bool)
DRAWN[1:3, 0:2] = True  # at the left edge


@pytest.fixture
def sample(tmp_path) -> Sample:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    mask = RunLengths(DRAWN.shape, encode(DRAWN)["counts"])
    regions = (Region(("thing",), mask=mask, box=(0, 1, 2, 3)), Region(("box",), box=(1.5, 0, 4, 4)))
    return Sample("toy/a", (Picture(tmp_path / "a.png"),), regions, ignored=mask)


def test_pixels_masks_and_boxes_turn_together(sample):
    seen = mirror(sample)
    assert (images.read(seen.media[0]) == images.read(sample.media[0])[:, ::-1]).all()
    thing, box = seen.regions
    expected = np.zeros((4, 6), bool)
    expected[1:3, 4:6] = True
    assert (thing.mask.draw() == expected).all() and (seen.ignored.draw() == expected).all()
    assert thing.box == (4, 1, 6, 3) and box.box == (2, 0, 4.5, 4)
    assert thing.phrases == ("thing",)


def test_what_is_mirrored_twice_is_as_it_was(sample):
    again = mirror(mirror(sample))
    assert again.media == sample.media and [region.box for region in again.regions] == [(0, 1, 2, 3), (1.5, 0, 4, 4)]
    assert (again.regions[0].mask.draw() == DRAWN).all()


def test_a_video_is_refused():
    with pytest.raises(ValueError, match="toy/v: mirror: expected pictures, found a video"):
        mirror(Sample("toy/v", (Video(Path("a.mp4")),)))
