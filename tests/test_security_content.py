"""What a file says cannot run code or take the machine: YAML tags, bombs of pixels, run lengths, JSON, XML and text."""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ullava.configs.load import ConfigError, apply, load, read_yaml
from ullava.configs.schema import RunConfig
from ullava.datasets import images
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.formats.mask_pictures import Foreground, LabelPixels
from ullava.datasets.formats.panoptic import SegmentPixels
from ullava.datasets.readers.base import READERS
from ullava.datasets.structures import Picture


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.mkdir [{path}]", "!!python/name:os.system ''", "!!python/object/new:os.mkdir [{path}]"],
)
def test_a_yaml_makes_no_objects(tmp_path, tag, monkeypatch):
    sprung = tmp_path / "sprung"
    text = tag.format(path=sprung)
    path = tmp_path / "run.yaml"
    path.write_text(f"output_dir: {text}\n")
    for read in (read_yaml, lambda file: load(file, RunConfig)):
        with pytest.raises(ConfigError, match="run.yaml: invalid YAML: could not determine a constructor for the tag"):
            read(path)
    with pytest.raises(ConfigError, match="invalid YAML: could not determine a constructor"):
        apply({}, f"output_dir={text}")
    monkeypatch.setenv("ULLAVA_CATALOGUE", str(path))
    with pytest.raises(ConfigError, match="run.yaml: invalid YAML"):
        open_dataset("mine")
    assert not sprung.exists()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, body in parts:
        whole += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return whole


def test_a_picture_that_claims_to_be_huge_is_refused_by_name(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60000, 60000))
    for read in (lambda: images.read(Picture(path)), lambda: images.size_of(path)):
        with pytest.raises(ValueError, match=r"bomb.png: the picture is too large .*3600000000 pixels.*take it out"):
            read()
    drawers = (LabelPixels(path, (1,)), Foreground(path), SegmentPixels(path, (1,)))
    for mask in drawers:
        with pytest.raises(ValueError, match=r"bomb.png: the mask is too large to be one .*take it out"):
            mask.draw()


def test_a_picture_whose_words_unpack_without_end_is_refused_by_name(tmp_path):
    path = tmp_path / "words.png"
    path.write_bytes(png(2, 2, (b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000), 9))))
    with pytest.raises(ValueError, match=r"words.png: the picture .* is truncated or broken"):
        images.read(Picture(path))


def test_a_picture_larger_than_its_annotation_says_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"a.png: the picture is 4 x 6 \(H x W\), its annotation says 2 x 2"):
        images.read(Picture(path, (2, 2)))


def instances(tmp_path, **annotation):
    """The only sample of a COCO file with one object in a picture of 4 x 6 (H x W)."""
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2]]}
    path = tmp_path / "i.json"
    pictures, names = [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}], [{"id": 1, "name": "cat"}]
    path.write_text(json.dumps({"images": pictures, "categories": names, "annotations": [one | annotation]}))
    return READERS["coco_instances"]("toy", path, tmp_path)[0]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"segmentation": {"size": [100000, 100000], "counts": "0"}}, "the mask is 100000 x 100000"),
        ({"segmentation": {"size": [4, 6], "counts": [5, -5, 24]}}, "run lengths: expected counts of pixels"),
        ({"segmentation": {"size": [4, 6], "counts": "oooo"}}, "is no string that COCO's programs write"),
        ({"segmentation": {"size": [4, 6], "counts": 5}}, "not iterable"),
        ({"segmentation": [[0, 0, 1e12, 0, 1e12, 1e12]]}, r"expected pixels of a picture \(4, 6\)"),
        ({"segmentation": [[0, 0, "__import__('os')", 0, 1, 1]]}, r"expected pixels of a picture \(4, 6\)"),
        ({"segmentation": 7}, "segmentation: expected polygons or run lengths, found 7"),
        ({"bbox": [0, 0, float("nan"), 2]}, "box: expected four finite numbers"),
        ({"bbox": [0, 0, float("inf"), 2]}, "box: expected four finite numbers"),
        ({"bbox": [0, 0, 2]}, "not enough values to unpack"),
    ],
)
def test_a_mask_or_a_box_that_cannot_be_is_refused_by_name_before_it_is_drawn(tmp_path, annotation, message):
    with pytest.raises(ValueError, match=f"toy/1: cat: .*{message}"):
        instances(tmp_path, **annotation)


def test_run_lengths_beyond_their_size_are_never_drawn(tmp_path):
    sample = instances(tmp_path, segmentation={"size": [4, 6], "counts": [0, 20]})
    with pytest.raises(ValueError, match="run lengths cover 20 pixels"):
        sample.regions[0].mask.draw()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_without_end_is_one_error(tmp_path, text):
    path = tmp_path / "deep.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="deep.json:1: broken JSON"):
        len(READERS["llava_chat"]("toy", path, tmp_path))


def test_xml_declares_nothing(tmp_path):
    grown = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 9))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{grown}]><annotation>&a8;</annotation>'
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'
    trees, sentences = tmp_path / "trees", tmp_path / "sentences"
    trees.mkdir()
    sentences.mkdir()
    (sentences / "5.txt").write_text("[/EN#1/people A man] .")
    for text in (bomb, outside):
        (trees / "5.xml").write_text(text)
        with pytest.raises(ValueError, match="5.xml: expected Entities' XML, but it declares a document type"):
            len(READERS["entities"]("toy", trees, sentences, tmp_path))


def test_a_yaml_that_names_its_own_parts_again_and_again_is_one_error(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path = tmp_path / "run.yaml"
    path.write_text("\n".join([*lines, "output_dir: *a11", "data: [{dataset: x, task: y, options: *a11}]"]))
    with pytest.raises(ConfigError, match="output_dir: input should be a valid string, found"):
        load(path, RunConfig)
