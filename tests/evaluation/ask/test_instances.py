"""What an answer points at, in every format, read back as other programs read it."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ullava.datasets.masks import Polygons, decode
from ullava.datasets.structures import Answer, Picture
from ullava.evaluation.ask.infer import describe
from ullava.evaluation.ask.instances import Writer, instances, names_in
from ullava.evaluation.ask.options import FORMATS

SOFT = np.array([[0.9, 0.7, 0.1, 0.0], [0.6, 0.4, 0.1, 0.0]], np.float32)
NONE = np.full((2, 4), 0.2, np.float32)
SAID = Answer(
    "Sure. Mask: [SEG]; [tag]cat[/tag]. Mask: [SEG]; [tag]dog[/tag].",
    {"mask": (SOFT, NONE), "box": ((0.0, 0.0, 2.0, 2.0),)},
)


@pytest.fixture
def picture(tmp_path):
    Image.fromarray(np.full((2, 4, 3), 90, np.uint8)).save(tmp_path / "a.png")
    return Picture(tmp_path / "a.png")


def test_the_nth_mask_box_and_name_are_one_thing():
    cat, dog = instances(SAID)
    assert (cat.name, cat.box) == ("cat", (0.0, 0.0, 2.0, 2.0))
    assert cat.confidence == pytest.approx((0.9 + 0.7 + 0.6) / 3)
    assert (dog.name, dog.box, dog.confidence, dog.mask.any()) == ("dog", None, None, False)
    assert instances(Answer("nothing")) == []


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("Sure. Mask: [SEG]; Location: [LOC]; [tag]red cup[/tag].", ["red cup"]),
        ("Sure. dog [SEG]; dog [LOC].", ["dog"]),
        ("wall [SEG], dog [NEG], sky [SEG]", ["wall", "sky"]),
        ("wall[SEG]dog[NEG]", ["wall"]),
        ("[KEY] red circle [SEG].", ["red circle"]),
        ("Sure, it is [SEG]. [KEY] cup", ["cup"]),
        ("It is [SEG]. It holds water.", []),
        ("There is nothing.", []),
    ],
)
def test_every_form_of_answer_names_its_things(said, names):
    assert names_in(said) == names


def test_a_mask_brings_its_own_box_where_no_head_gives_one():
    (thing,) = instances(Answer("[SEG]", {"mask": (SOFT,)}))
    assert thing.name == "" and thing.box == (0.0, 0.0, 2.0, 2.0)


def test_every_format_says_the_same(picture, tmp_path):
    out = tmp_path / "out"
    writer = Writer(out, FORMATS)
    line = writer.write("0000_a", picture, SAID)
    writer.write("0001_a", picture, Answer("nothing"))
    writer.close()
    mask = SOFT > 0.5
    assert (np.asarray(Image.open(out / line["masks"][0])) == 255 * mask).all()
    assert (np.load(out / line["npy"]) == np.stack([mask, NONE > 0.5])).all()
    assert (decode(json.loads((out / line["rle"]).read_text())[0]) == mask).all()
    outlines, empty = json.loads((out / line["polygons"]).read_text())
    assert (Polygons((2, 4), tuple(map(tuple, outlines))).draw() == mask).all() and empty == []
    assert json.loads((out / "0000_a_boxes.json").read_text()) == [[0, 0, 2, 2]]
    assert np.asarray(Image.open(out / line["overlay"])).shape == (2, 4, 3)
    coco = COCO(str(out / "coco.json"))
    (annotation,) = coco.loadAnns(coco.getAnnIds())  # the dog is nowhere
    assert (coco.annToMask(annotation) == mask).all() and annotation["bbox"] == [0, 0, 2, 2] and annotation["area"] == 3
    assert coco.cats[annotation["category_id"]]["name"] == "cat" and coco.imgs[annotation["image_id"]]["width"] == 4


def test_only_what_is_wanted_is_written(picture, tmp_path):
    out = tmp_path / "out"
    Writer(out, ("npy",)).write("0000_a", picture, SAID)
    assert [path.name for path in out.iterdir()] == ["0000_a_masks.npy"]
    with pytest.raises(ValueError, match="no format 'jpg'; there are png, npy"):
        Writer(out, ("jpg",))


def test_people_are_told_name_confidence_box_and_file(picture, tmp_path):
    line = Writer(tmp_path / "out").write("0000_a", picture, SAID) | {"answer": SAID.text}
    assert describe(line).splitlines()[1:3] == [
        "  cat, confidence 0.73, box 0 0 2 2, 0000_a_mask_0.png", "  dog, 0000_a_mask_1.png",
    ]  # fmt: skip
