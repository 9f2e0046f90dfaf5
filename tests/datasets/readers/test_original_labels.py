"""Label maps as their makers publish them, written by the embedded world: every pixel keeps its class."""

import numpy as np
import pytest
from PIL import Image

from ullava.configs.load import CONFIGS
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import READERS
from ullava.datasets.tiny_world import originals

SCENES = 5  # of the fixture
VOCABULARIES = CONFIGS.parent / "datasets" / "vocabularies"


def by_name(sample):
    return {region.category: region for region in sample.regions}


def lines(name: str) -> list[str]:
    return (VOCABULARIES / name).read_text().splitlines()


# dataset, what writes it, the classes that the world's values 1 to 6 become, and how many there are
CITY = ["road", "sidewalk", None, None, "building", "wall"]  # label ids 7 to 12; the benchmark counts no 9 and 10
STREET = ["bird", "ground animal", "ambiguous barrier", "concrete block", "curb", "fence"]
LABELS = [
    ("cityscapes_val", originals.cityscapes, CITY, 19),
    ("cityscapes_train_ids_val", originals.cityscapes, ["road", "sidewalk", "building", "wall", "fence", "pole"], 19),
    ("mapillary", originals.mapillary, STREET, 123),
    ("mapillary_v1", originals.mapillary, ["bird", "ground animal", "curb", "fence", "guard rail", "barrier"], 65),
    ("pc459_val", originals.pascal_context,
     ["accordion", "aeroplane", "air conditioner", "antenna", "artillery", "ashtray"], 459),
]  # fmt: skip


@pytest.mark.parametrize(("name", "write", "classes", "count"), LABELS, ids=[name for name, *_ in LABELS])
def test_every_pixel_has_the_class_it_was_drawn_with(scenes, data_root, name, write, classes, count):
    write(scenes, data_root)
    reader = open_dataset(name, "semantic")
    assert (len(reader), len(reader.names), len(set(reader.names.values()))) == (SCENES, count, count)
    for stem, sample in zip(originals.stems(scenes), reader, strict=True):
        drawn = originals.labels(scenes, stem)
        assert len(sample.regions) + len(sample.absent) == count
        counted = np.zeros_like(drawn, bool)
        for value, category in enumerate(classes, 1):
            if category and (drawn == value).any():
                assert (by_name(sample)[category].mask.draw() == (drawn == value)).all()
                counted |= drawn == value
        if name == "pc459_val":
            assert (by_name(sample)["unknown"].mask.draw() == (drawn == 0)).all() and sample.ignored is None
        else:
            assert (sample.ignored.draw() == ~counted).all()


def test_train_ids_are_the_same_pixels_as_label_ids(scenes, data_root):
    originals.cityscapes(scenes, data_root)
    readers = [open_dataset(f"cityscapes{kind}_val", "semantic") for kind in ("", "_train_ids")]
    for label, train in zip(*readers, strict=True):
        both = {"road", "sidewalk"} & by_name(label).keys()
        assert both == {"road", "sidewalk"} & by_name(train).keys()
        for name in both:
            assert (by_name(label)[name].mask.draw() == by_name(train)[name].mask.draw()).all()
    assert label.id.startswith("cityscapes_val/aachen/aachen_0")
    assert "-" not in open_dataset("cityscapes_val", "semantic")[0].absent


def test_of_59_classes_the_other_400_count_nowhere(scenes, data_root):
    originals.pascal_context(scenes, data_root)
    reader = open_dataset("pc59_val", "semantic")
    assert sorted(reader.names.values()) == sorted(lines("pascal_context_59.txt"))
    for stem, sample in zip(originals.stems(scenes), reader, strict=True):
        drawn = originals.labels(scenes, stem)  # of the first six of 459 names, the second alone is one of the 59
        assert list(by_name(sample)) == (["aeroplane"] if (drawn == 2).any() else [])
        assert (sample.ignored.draw() == (drawn != 2)).all()


def test_a_class_that_no_list_knows_is_named(write, tmp_path):
    write("names.txt", "sky\nroad\n")
    reader = READERS["label_map"]("toy", tmp_path, tmp_path, tmp_path / "names.txt", only=write("only.txt", "skye\n"))
    with pytest.raises(ValueError, match="only.txt: no class 'skye' in .*names.txt; did you mean 'sky'"):
        reader.names  # noqa: B018, it is the property that raises


def test_stuff_has_171_names_and_each_is_told_apart():
    """LaSagnA's shortened names stand twice among 182 ids; the first one of each two is an id that no pixel has."""
    whole, used = lines("cocostuff.txt"), lines("cocostuff_171.txt")
    assert len(whole) == len(used) == 182 == len(set(whole))
    named = [name for name in used if name != "-"]
    assert len(named) == len(set(named)) == 171
    assert [a for a, b in zip(whole, used, strict=True) if b == "-"] == [
        "street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender",
        "hair brush",
    ]  # fmt: skip
    short = {"mirror-stuff": "mirror", "door-stuff": "door", "window-other": "window", "desk-stuff": "desk"}
    assert all(used[whole.index(name)] == said for name, said in short.items())
    assert used[whole.index("wall-brick")] == "wall-brick" and used[91] == "banner", "its 92nd id, value 91"


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "tif"])
def test_a_label_map_may_be_grey_a_palette_or_sixteen_bits(write, tmp_path, mode):
    values = np.array([[1, 2], [0, 2]], np.uint16 if mode in ("I;16", "tif") else np.uint8)
    if mode == "tif":
        values = np.array([[1, 458], [65535, 458]], np.uint16)
    write("i/a.jpg", np.zeros((2, 2, 3), np.uint8))
    image = Image.fromarray(values)
    if mode == "P":
        image = Image.fromarray(values, "P")
        image.putpalette(list(range(256)) * 3)
    (tmp_path / "l").mkdir()
    image.save(tmp_path / ("l/a.tif" if mode == "tif" else "l/a.png"))
    void = (65535,) if mode == "tif" else ()
    classes = VOCABULARIES / "pascal_context_459.txt"
    (sample,) = READERS["label_map"]("toy", tmp_path / "i", tmp_path / "l", classes, void=void)
    last = "wool" if mode == "tif" else "air conditioner"
    assert (by_name(sample)[last].mask.draw() == [[False, True], [False, True]]).all()
