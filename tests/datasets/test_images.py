"""Pixels: every kind of file, broken files, and Views against transformers' own image processors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ullava.datasets import images
from ullava.datasets.images import View
from ullava.datasets.structures import Picture

RED = (255, 0, 0)
SIZES = [(48, 64), (64, 48), (33, 77), (50, 50), (7, 90)]
VIEWS = [View(32, "pad"), View(32, "crop"), View(32, "corner", (0, 0, 0))]


def picture(size, seed=0):
    """A smooth random picture: resizing noise would compare rounding, not geometry."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return np.array(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    if mode == "I;16":
        Image.fromarray(np.full((3, 4), 65535, np.uint16)).save(path)
    else:
        Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    pixels = images.read(Picture(path))
    assert (pixels.shape, pixels.dtype, pixels.min()) == ((3, 4, 3), np.uint8, 255)


def test_sixteen_bits_are_scaled_not_clipped(write):
    pixels = images.read(Picture(write("p.png", np.full((2, 2), 256 * 100 + 7, np.uint16))))
    assert (pixels == 100).all()


def test_what_is_transparent_shows_white(tmp_path):
    Image.new("RGBA", (2, 2), (9, 9, 9, 0)).save(tmp_path / "p.png")
    assert (images.read(Picture(tmp_path / "p.png")) == 255).all()


def test_a_picture_stands_upright_as_its_exif_says(tmp_path):
    image = Image.new("RGB", (4, 2))
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6  # turn clockwise to show
    image.save(tmp_path / "p.png", exif=exif)
    pixels = images.read(Picture(tmp_path / "p.png"))
    assert pixels.shape == (4, 2, 3)
    assert tuple(pixels[0, 1]) == RED
    assert images.size_of(tmp_path / "p.png") == (4, 2)


def test_a_truncated_jpeg_is_named(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(picture((90, 90))).save(path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=r"cut.jpg: the picture \(\d+ bytes\) is truncated or broken"):
        images.read(Picture(path))


@pytest.mark.parametrize("content", [b"", b"<html>404</html>"])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "p.jpg"
    path.write_bytes(content)
    for read in (lambda: images.read(Picture(path)), lambda: images.size_of(path)):
        with pytest.raises(ValueError, match="p.jpg: the picture .* is truncated or broken"):
            read()


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no.jpg: no such picture"):
        images.read(Picture(tmp_path / "no.jpg"))


def test_a_size_that_disagrees_with_the_annotation_names_both(write):
    path = write("p.png", np.zeros((3, 4, 3), np.uint8))
    assert images.read(Picture(path, (3, 4))).shape == (3, 4, 3)
    with pytest.raises(ValueError, match=r"the picture is 3 x 4 \(H x W\), its annotation says 4 x 3"):
        images.read(Picture(path, (4, 3)))


@pytest.mark.parametrize("size", SIZES)
def test_crop_is_clips_own_way(size):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False
    )(picture(size), return_tensors="np")["pixel_values"][0]
    ours = View(32, "crop").apply(picture(size))
    assert np.abs(ours.transpose(2, 0, 1).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_pad_is_clips_resize_of_the_padded_square(size):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = max(size)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    square[top : top + size[0], left : left + size[1]] = picture(size)
    theirs = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False
    )(square, return_tensors="np")["pixel_values"][0]
    assert np.abs(View(32, "pad").apply(picture(size)).transpose(2, 0, 1).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_corner_is_sams_own_way(size):
    from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

    processor = SamImageProcessorPil(
        size={"longest_edge": 32}, pad_size={"height": 32, "width": 32}, do_rescale=False, do_normalize=False
    )
    theirs = processor(picture(size), return_tensors="np")
    view = View(32, "corner", (0, 0, 0))
    ours = view.apply(picture(size)).transpose(2, 0, 1).astype(int)
    assert np.abs(ours - theirs["pixel_values"][0]).max() <= 1
    assert view.resized(size) == tuple(theirs["reshaped_input_sizes"][0])


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.aspect)
@given(size=st.tuples(st.integers(1, 500), st.integers(1, 500)), seed=st.integers(0, 99))
def test_boxes_come_back(view, size, seed):
    corners = np.sort(np.random.default_rng(seed).random((5, 2, 2)), axis=1).reshape(5, 4)
    found = corners * np.tile(size[::-1], 2)
    np.testing.assert_allclose(view.boxes_from(view.boxes_to(found, size), size), found, atol=1e-6)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.aspect)
@pytest.mark.parametrize("size", [(40, 64), (64, 40)])
def test_a_box_lies_where_its_pixels_lie(view, size):
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[12:28, 16:32] = RED
    x0, y0, x1, y1 = (view.boxes_to([[16, 12, 32, 28]], size)[0] * view.side).clip(0, view.side)
    red = view.apply(pixels).astype(int)
    rows, columns = np.nonzero((red[..., 0] > 127) & (red[..., 1] < 128))
    np.testing.assert_allclose((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), (x0, y0, x1, y1), atol=1)


def test_no_boxes_stay_no_boxes():
    assert View(8).boxes_to(np.zeros((0, 4)), (4, 4)).shape == (0, 4)


def test_the_background_surrounds_the_picture():
    black = np.zeros((4, 8, 3), np.uint8)
    padded = View(8, "pad", (1, 2, 3)).apply(black)
    assert (padded[:2] == (1, 2, 3)).all() and (padded[2:6] < 4).all() and (padded[6:] == (1, 2, 3)).all()
    corner = View(8, "corner", (9, 9, 9)).apply(black)
    assert (corner[:4] == 0).all() and (corner[4:] == 9).all()


def test_an_unknown_aspect_is_refused():
    with pytest.raises(ValueError, match="expected pad, crop or corner, found 'stretch'"):
        View(8, "stretch")


@pytest.mark.parametrize("size", [(40, 70), (70, 40), (50, 50), (70, 71), (3, 200)])
def test_padding_is_that_of_the_whole_square(size):
    pixels, side = picture(size), max(size)
    square = np.full((side, side, 3), 255, np.uint8)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    square[top : top + size[0], left : left + size[1]] = pixels
    plain = np.array(Image.fromarray(square).resize((32, 32), Image.Resampling.BICUBIC))
    assert (View(32, "pad").apply(pixels) == plain).all()
    assert (View(32, "pad").apply(Image.fromarray(pixels)) == plain).all()
