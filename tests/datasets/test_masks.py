"""Masks draw themselves as their formats say; expected pixels are drawn by hand."""

import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pycocotools import mask as coco

from tests.shared import SHARED
from ullava.datasets import masks
from ullava.datasets.formats.mask_pictures import Foreground, LabelPixels, label_map
from ullava.datasets.masks import Polygons, RunLengths, Union

SQUARE = """
    ......
    .##...
    .##...
    ......
"""


def test_run_lengths_go_down_the_columns(drawn):
    # Column by column: 5 background, 2, 2, 2 foreground of column 1 and 2, then 13 of background.
    assert (RunLengths((4, 6), (5, 2, 2, 2, 13)).draw() == drawn(SQUARE)).all()


def test_packed_run_lengths_are_what_pycocotools_writes(drawn):
    packed = masks.encode(drawn(SQUARE))
    assert packed["size"] == [4, 6]
    assert isinstance(packed["counts"], str)
    assert (RunLengths((4, 6), packed["counts"]).draw() == drawn(SQUARE)).all()


def test_run_lengths_of_another_size_are_refused():
    with pytest.raises(ValueError, match="run lengths cover 23 pixels"):
        RunLengths((4, 6), (5, 2, 2, 2, 12)).draw()


def test_a_polygon_covers_the_pixels_inside(drawn):
    assert (Polygons((4, 6), ((1, 1, 3, 1, 3, 3, 1, 3),)).draw() == drawn(SQUARE)).all()


def test_overlapping_polygons_are_united_not_summed():
    square = (1, 1, 3, 1, 3, 3, 1, 3)
    mask = Polygons((4, 6), (square, square)).draw()
    assert mask.dtype == bool
    assert mask.sum() == 4


def test_a_line_covers_nothing_although_pycocotools_takes_it_for_a_box():
    assert not Polygons((9, 9), ((1, 1, 5, 5),)).draw().any()


def test_an_odd_polygon_is_refused():
    with pytest.raises(ValueError, match="7 numbers"):
        Polygons((4, 6), ((1, 1, 3, 1, 3, 3, 1),))


def test_label_pixels_are_those_of_their_values(write):
    path = write("label.png", np.array([[0, 1], [2, 1]], np.uint8))
    assert LabelPixels(path, (1,)).draw().tolist() == [[False, True], [False, True]]
    assert LabelPixels(path, (0, 2)).draw().tolist() == [[True, False], [True, False]]
    assert LabelPixels(path, (1,)).size == (2, 2)


def test_label_maps_of_sixteen_bits_keep_their_ids(write):
    path = write("label.png", np.array([[0, 300], [65535, 1]], np.uint16))
    assert LabelPixels(path, (300, 65535)).draw().tolist() == [[False, True], [True, False]]


def test_a_palette_is_an_id_not_a_colour(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0] * 3 + [200, 10, 10])
    image.putpixel((1, 0), 3)
    image.save(tmp_path / "p.png")
    assert LabelPixels(tmp_path / "p.png", (3,)).draw().tolist() == [[False, True]]
    assert Foreground(tmp_path / "p.png").draw().tolist() == [[False, True]]


def test_colours_are_no_label_map(write):
    path = write("label.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="expected class ids in one channel, found a RGB picture"):
        LabelPixels(path, (0,)).draw()


def test_a_label_map_that_changes_on_disk_is_read_again(write):
    path = write("label.png", np.array([[1]], np.uint8))
    assert LabelPixels(path, (1,)).draw().all()
    write("label.png", np.array([[2]], np.uint8))
    os.utime(path, ns=(1, 1))
    assert not LabelPixels(path, (1,)).draw().any()


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 3), (2, 2, 4)])
def test_foreground_is_bright_in_grey_colour_and_with_alpha(write, shape):
    pixels = np.zeros(shape, np.uint8)
    pixels[0, 0], pixels[1, 1] = 254, 127
    if shape[-1] == 4:
        pixels[..., 3] = 255
    assert Foreground(write("mask.png", pixels)).draw().tolist() == [[True, False], [False, False]]


def test_a_mask_of_zeros_and_ones_says_which_option_reads_it(write):
    path = write("mask.png", np.array([[0, 1]], np.uint8))
    with pytest.raises(ValueError, match="brightest pixel is 1, expected 128 or more"):
        Foreground(path).draw()
    assert Foreground(path, threshold=1).draw().tolist() == [[False, True]]


def test_a_mask_of_sixteen_bits_is_scaled(write):
    path = write("mask.png", np.array([[65535, 0x7FFF, 0x8000]], np.uint16))
    assert Foreground(path).draw().tolist() == [[True, False, True]]


def test_a_black_mask_is_empty(write):
    assert not Foreground(write("mask.png", np.zeros((2, 3), np.uint8))).draw().any()


def test_a_missing_and_a_broken_mask_are_named(write):
    path = write("mask.png", np.zeros((20, 30), np.uint8))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match="mask.png: the mask cannot be decoded"):
        Foreground(path).draw()
    with pytest.raises(FileNotFoundError, match="none.png: no such mask"):
        LabelPixels(path.with_name("none.png"), (1,)).draw()


def test_a_union_covers_what_any_part_covers():
    parts = Polygons((4, 6), ((0, 0, 2, 0, 2, 2, 0, 2),)), RunLengths((4, 6), (20, 4))
    union = Union(parts)
    assert (union.draw() == parts[0].draw() | parts[1].draw()).all()
    assert union.size == (4, 6)


def test_a_mask_of_another_size_than_its_picture_names_both():
    with pytest.raises(ValueError, match=r"toy/1: the mask is 4 x 6 \(H x W\), its picture 6 x 4"):
        masks.check_size(RunLengths((4, 6), (24,)), (6, 4), "toy/1")
    masks.check_size(np.zeros((4, 6), bool), (4, 6), "toy/1")


@pytest.mark.parametrize(
    ("segmentation", "kind"),
    [
        ([[1, 1, 3, 1, 3, 3, 1, 3]], Polygons),
        ({"size": [4, 6], "counts": [5, 2, 2, 2, 13]}, RunLengths),
        ({"size": [4, 6], "counts": "5220;"}, RunLengths),
        ([{"size": [4, 6], "counts": [5, 2, 2, 2, 13]}], RunLengths),
        ([{"size": [4, 6], "counts": [5, 2, 2, 2, 13]}, {"size": [4, 6], "counts": [24]}], Union),
        ([], type(None)),
    ],
)
def test_every_form_of_cocos_field_is_read(segmentation, kind):
    assert isinstance(masks.from_coco(segmentation, (4, 6)), kind)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="expected polygons or run lengths"):
        masks.from_coco([1, 2, 3], (4, 6))


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()))
def test_encoding_is_undone_by_decoding(mask):
    assert (masks.decode(masks.encode(mask)) == mask).all()


def test_masks_are_hashable(tmp_path):
    kinds = [RunLengths((1, 1), (1,)), Polygons((1, 1), ()), LabelPixels(tmp_path, (1,)), Foreground(tmp_path)]
    assert len({*kinds, Union(tuple(kinds))}) == 5


def test_packed_run_lengths_are_read_as_cocos_own_program_does():
    rng = np.random.default_rng(0)
    for _ in range(200):
        drawn = rng.random(rng.integers(1, 30, 2)) < rng.random()
        packed = masks.encode(drawn)
        assert (masks.decode(packed) == drawn).all()
        assert (coco.decode(packed).astype(bool) == drawn).all()


def test_long_runs_are_packed_as_differences():
    # 0 pixels out, 40 in, 5 out, 40 in, 5 out, 40 in, 0 out; from the fourth on less the one before the last:
    # 0 40 5 0 0 0 -5. 40 = 8 + 1 * 32 is two digits: 8 with more to follow is 'X', 1 is '1'; -5 is 27 of 32, 'K'.
    assert masks.unpack("0X15000K").tolist() == [0, 40, 5, 40, 5, 40, 0]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("", "cover 0 pixels"),
        ("0", "cover 0 pixels"),
        ("h0", "cover 24 pixels, their size"),  # 24 of 25
        ("o" * 40 + "O", "cover -1 pixels"),
        ("h", "no string that COCO's programs write"),  # more digits are announced, and none follow
        ("x/", "no string that COCO's programs write"),
        ((5, -5, 25), "expected counts of pixels"),
        ((2**62,) * 4, "expected counts of pixels"),
        ((25.0,), "expected counts of pixels"),
    ],
)
def test_run_lengths_that_do_not_fit_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        RunLengths((5, 5), counts).draw()


def test_run_lengths_of_another_size_than_the_picture_are_refused_before_they_are_drawn():
    with pytest.raises(ValueError, match="the mask is 100000 x 100000 .* its picture 4 x 6"):
        masks.from_coco({"size": [100000, 100000], "counts": "0"}, (4, 6))


@pytest.mark.parametrize("part", [(0, 0, 1e9, 0, 0, 1e9), (0, 0, float("nan"), 1, 1, 1), (0, 0, "1", 1, 1, 1)])
def test_a_polygon_far_outside_is_refused(part):
    with pytest.raises(ValueError, match=r"expected pixels of a picture \(4, 6\)"):
        masks.Polygons((4, 6), (part,))


def grey_png(path, values, bits: int):
    """Writes a grey PNG of 1, 2, 4 bits a pixel, or with a palette beside: as annotation tools store few classes."""
    height, width = values.shape
    per = 8 // bits
    padded = np.pad(values, ((0, 0), (0, -width % per))).reshape(height, -1, per).astype(np.uint8)
    packed = sum(padded[..., k] << (8 - bits * (k + 1)) for k in range(per)).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_label_map_of_few_bits_holds_what_is_stored(tmp_path, bits):
    values = np.arange(15).reshape(3, 5) % 2**bits
    grey_png(tmp_path / "map.png", values, bits)
    assert np.array_equal(label_map(tmp_path / "map.png"), values)
    assert LabelPixels(tmp_path / "map.png", (2**bits - 1,)).draw().sum() == (values == 2**bits - 1).sum()


@pytest.mark.shared
def test_label_maps_of_few_bits_as_a_tool_wrote_them():
    folder = SHARED / "cases" / "14-label-few-bits" / "src"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    for bits in (1, 2, 4):
        grey, palette = (folder / f"{kind}{bits}" / "labels" / "a.png" for kind in ("gray", "pal"))
        assert label_map(grey).any() and np.array_equal(label_map(grey), label_map(palette))


def test_class_ids_beyond_16_bits_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 65536]], np.int32)).save(tmp_path / "map.tif")
    with pytest.raises(ValueError, match="map.tif: expected class ids from 0 to 65535, found 65536; store them as"):
        label_map(tmp_path / "map.tif")


@pytest.mark.parametrize(("high", "threshold"), [(65535, 128), (255, 128), (1, 1)])
def test_a_mask_of_16_bits_is_read_by_its_range(tmp_path, high, threshold):
    Image.fromarray(np.array([[0, high], [high, 0]], np.uint16)).save(tmp_path / "mask.png")
    assert Foreground(tmp_path / "mask.png", threshold).draw().tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_no_foreground(tmp_path, mode):
    """A cut-out: white all over, and only its alpha says where the object is."""
    picture = Image.new(mode, (2, 1), (255,) * len(mode))
    picture.putpixel((0, 0), (*(255,) * (len(mode) - 1), 0))
    picture.save(tmp_path / "mask.png")
    assert Foreground(tmp_path / "mask.png").draw().tolist() == [[False, True]]
