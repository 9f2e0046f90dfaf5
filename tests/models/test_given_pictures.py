"""What a picture may be in Python, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ullava.datasets import images
from ullava.datasets.structures import Picture, Video
from ullava.models.given_pictures import open_given

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(given) -> np.ndarray:
    """(H, W, 3) uint8 of what somebody hands over."""
    return images.read(open_given(given))


def test_pictures_and_videos_of_ours_come_back_as_they_are():
    assert all(open_given(ours) is ours for ours in (Picture(Path("a.png")), Video(Path("a.mp4"))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16"])
def test_pil_images_of_every_mode_are_read_as_from_a_file(mode, tmp_path):
    ramp = np.tile(np.linspace(0, 255, 8, dtype=np.uint8), (4, 1))
    image = (
        Image.fromarray(ramp).convert("RGB")
        if mode not in ("I", "I;16")
        else Image.fromarray(ramp.astype(np.uint16) * 257)
    )
    image = image.convert(mode) if mode not in ("I;16",) else image
    assert read(image).shape == (4, 8, 3)
    if mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):  # what a PNG holds
        image.save(tmp_path / "a.png")
        np.testing.assert_array_equal(read(image), read(tmp_path / "a.png"))


def test_floating_point_images_of_pil_have_no_agreed_range():
    with pytest.raises(ValueError, match="a PIL image of mode F cannot be read .*no agreed range"):
        open_given(Image.new("F", (4, 4)))


def test_a_pil_image_is_turned_as_its_exif_says(tmp_path):
    image, exif = Image.new("RGB", (8, 4), RED), Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6  # lies on its side
    image.save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as opened:
        assert opened.size == (8, 4)
        assert read(opened).shape == read(tmp_path / "a.jpg").shape == (8, 4, 3)  # (H, W) upright
        assert opened.size == (8, 4) and images.EXIF_ORIENTATION in opened.getexif()  # the caller's stays as it was


def test_what_is_transparent_shows_white():
    array = np.zeros((2, 2, 4), np.uint8)
    array[0] = (*RED, 255)
    assert read(array).tolist() == [[list(RED)] * 2, [list(WHITE)] * 2]


def test_grey_arrays_and_floats_are_pictures():
    assert read(np.array([[0, 255]], np.uint8)).tolist() == [[[0] * 3, [255] * 3]]
    assert read(np.array([[0.0, 0.5, 1.0004]], np.float32)).tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


def test_tensors_lie_channels_first():
    tensor = torch.zeros(3, 2, 4, dtype=torch.bfloat16)
    tensor[0] = 1
    assert read(tensor).tolist() == [[list(RED)] * 4] * 2


def test_features_are_kept_by_what_a_picture_shows():
    first, again, other = (open_given(np.full((4, 4), value, np.uint8)) for value in (1, 1, 2))
    reshaped = open_given(np.full((2, 8), 1, np.uint8))
    assert first == again and len({first.path, other.path, reshaped.path}) == 3


@pytest.mark.parametrize("url", ["https://example.org/dog.jpg", "file:///dog.jpg", "data:image/png;base64,AAAA"])
def test_urls_are_never_fetched(url):
    with pytest.raises(ValueError, match="is a URL, which is never fetched; download it, and give its path"):
        open_given(url)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="picture: nowhere.png: no such file"):
        open_given("nowhere.png")


@pytest.mark.parametrize("given", [b"bytes", 3, {"url": "a"}, object()])
def test_other_kinds_are_refused(given):
    with pytest.raises(TypeError, match="picture: expected a path, a PIL image, .*, found a "):
        open_given(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 60, 80), np.uint8), r"found an array \(3, 60, 80\); one picture, channels last"),
        (np.zeros((1, 60, 80, 3), np.uint8), r"found an array \(1, 60, 80, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"found an array \(0, 4, 3\)"),
        (np.zeros((4, 4), np.int64), "found int64"),
        (np.zeros((4, 4), bool), "found bool"),
        (np.full((4, 4), 255.0), "expected floats from 0 to 1, found 255 to 255; divide by 255"),
        (np.full((4, 4), -1.0), "expected floats from 0 to 1, found -1 to -1"),
        (np.full((4, 4), np.nan), "expected floats from 0 to 1, found nan to nan"),
        (torch.zeros(4, 4, 3), r"expected a tensor \(3, H, W\), found \(4, 4, 3\)"),
        (torch.zeros(1, 3, 4, 4), r"expected a tensor \(3, H, W\), found \(1, 3, 4, 4\)"),
        (torch.zeros(3, 4, 4, dtype=torch.int32), "found int32"),
    ],
)
def test_arrays_of_other_shapes_types_and_ranges_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        open_given(given)
