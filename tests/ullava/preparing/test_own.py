"""`ullava prepare own`: what people drew with LabelMe, CVAT, or exported for COCO and YOLO, as our readers give it."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED
from ullava.configs.load import CONFIGS
from ullava.datasets.catalogue import open_dataset
from ullava.preparing.__main__ import main
from ullava.preparing.own_data.pages import phrases_in

REALDATA = SHARED / "realdata"
HEIGHT, WIDTH = 12, 16


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def pictures(tmp_path):
    """Two pictures."""
    folder = tmp_path / "mine" / "images"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / name)
    return folder


@pytest.fixture
def make(home, monkeypatch):
    """Prepares, and opens what came of it for a task."""

    def make(program, source, *more, name="mine"):
        main(["own", name, str(source), "--from", program, *map(str, more)])
        monkeypatch.setenv("ULLAVA_CATALOGUE", str(home / name / "catalogue.yaml"))
        return lambda task, split="": list(open_dataset(name + split, task))

    return make


def covered(region) -> list[str]:
    """A mask in rows of . and #."""
    return ["".join(".#"[pixel] for pixel in row) for row in region.mask.draw().astype(int)]


def labelme(folder: Path, name: str, *shapes, **changes) -> Path:
    tree = {"version": "5.4.1", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.png", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(tree | changes))
    return folder


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | more


SQUARE = [[2, 1], [6, 1], [6, 5], [2, 5]]  # covers columns 2 to 5 of rows 1 to 4


def test_labelmes_polygons_groups_and_phrases(pictures, make):
    first = shape("cup", SQUARE, description="the cup on the left\nmy cup", group_id=3)
    handle = shape("cup", [[8, 1], [10, 1], [10, 3], [8, 3]], group_id=3)
    folder = labelme(pictures, "a", first, handle, shape("cup", [[10, 6], [12, 6], [12, 8], [10, 8]]))
    opened = make("labelme", folder)
    (sample,) = opened("res")  # the cup without a phrase is asked for in no way
    (cup,) = sample.regions
    assert cup.phrases == ("cup on the left", "my cup") and cup.box == (2, 1, 10, 5)
    assert (
        covered(cup)[1] == "..####..##......"
        and covered(cup)[3] == "..####.........."
        and sample.media[0].size == (12, 16)
    )
    ((both,),) = (sample.regions for sample in opened("semantic"))
    assert both.category == "cup" and covered(both)[6] == "..........##...." and covered(both)[1] == covered(cup)[1]


def test_labelmes_other_shapes(pictures, make):
    stamp = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [255, 255]], np.uint8)).save(stamp, "PNG")
    mask = base64.b64encode(stamp.getvalue()).decode()
    folder = labelme(
        pictures, "a", shape("moon", [[8, 6], [8, 9]], "circle"), shape("hat", [[1, 2], [3, 4]], "mask", mask=mask)
    )
    moon, hat = make("labelme", folder)("res")[0].regions
    assert np.allclose(moon.box, (5, 3, 11, 9)) and 24 <= moon.mask.draw().sum() <= 32  # 9 pi = 28
    assert covered(hat)[2:4] == ["..#.............", ".##............."] and hat.box == (1, 2, 3, 4)


def test_rectangles_alone_are_boxes(pictures, make):
    opened = make("labelme", labelme(pictures, "a", shape("cup", [[6, 5], [2, 1]], "rectangle")))
    ((cup,),) = (sample.regions for sample in opened("rec"))
    assert cup.box == (2, 1, 6, 5) and cup.mask is None and cup.phrases == ("cup",)
    with pytest.raises(LookupError, match="nothing for the task 'res'"):
        opened("res")


@pytest.mark.parametrize(
    ("given", "changes", "said"),
    [
        (shape("dot", [[1, 1]], "point"), {}, r"shape 0 \(dot\): a point covers nothing; draw a polygon, or delete it"),
        (shape("cup", SQUARE[:2]), {}, "expected three corners"),
        (shape("cup", SQUARE), {"imageHeight": 99}, "is 12 x 16 .*, it was drawn on 99 x 16"),
        (shape("cup", SQUARE), {"imagePath": "c.png"}, "c.png: no such picture; name the folder"),
        (shape("cup", [[20, 1], [24, 1], [24, 5]]), {}, r"1 objects .*; a.png: object 0 \(cup\) lies outside"),
        (shape("cup", [[2, 2], [6, 2], [6, 2.1]]), {}, r"a.png: object 0 \(cup\) covers no pixel"),
        (shape("hat", [[15, 0]], "mask", mask="aGFsbG8="), {}, "the mask cannot be decoded"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(pictures, make, home, given, changes, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        make("labelme", labelme(pictures, "a", given, **changes))
    assert not (home / "mine").exists()


def cvat(folder: Path, *shapes: str) -> Path:
    images = f'<image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">{"".join(shapes)}</image>'
    path = folder.parent / "annotations.xml"
    path.write_text(f'<?xml version="1.0"?><annotations><version>1.1</version>{images}</annotations>')
    return path


def test_cvats_boxes_polygons_and_masks(pictures, make):
    said = '<attribute name="description">the left one</attribute>'
    path = cvat(
        pictures, '<tag label="indoor"/>', f'<polygon label="cup" points="2,1;6,1;6,5;2,5">{said}</polygon>',
        '<mask label="hat" rle="1, 3, 1, 1" left="4" top="6" width="3" height="2" z_order="0"/>',
    )  # fmt: skip
    opened = make("cvat", path)
    assert opened("res")[0].regions[0].phrases == ("left one",)
    cup, hat = opened("semantic")[0].regions
    assert covered(cup)[1] == "..####.........." and covered(hat)[6:8] == [".....##.........", "....#.#........."]
    path = cvat(pictures, '<box label="cup" xtl="1.5" ytl="2" xbr="4" ybr="5"/>')
    assert make("cvat", path, name="boxes")("rec")[0].regions[0].box == (1.5, 2, 4, 5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('<points label="dot" points="1,1"/>', "points: dot: has no area of its own"),
        ('<box label="cup" xtl="1"/>', "box: cup: 'ytl'; export the task as"),
        ('<mask label="m" rle="3, 3" left="0" top="0" width="3" height="3"/>', "run lengths of 6 pixels in a rect"),
        ('<mask label="m" rle="0, 4" left="15" top="0" width="2" height="2"/>', "the mask leaves its picture"),
        ("<oops", "broken XML"),
    ],
)  # fmt: skip
def test_what_cvat_says_and_cannot_be_used(pictures, make, given, said):
    with pytest.raises(ValueError, match=said):
        make("cvat", cvat(pictures, given))


def test_cvat_for_video_is_refused(pictures, make):
    path = pictures / "video.xml"
    path.write_text("<annotations><track id='0' label='cup'/></annotations>")
    with pytest.raises(ValueError, match="export the task as `CVAT for images 1.1`"):
        make("cvat", path)


def test_yolos_splits_and_names(pictures, make):
    for split, name in (("train", "a"), ("val", "b")):
        for kind in ("images", "labels"):
            (pictures.parent / "yolo" / kind / split).mkdir(parents=True)
        (pictures / f"{name}.png").rename(pictures.parent / "yolo" / "images" / split / f"{name}.png")
        (pictures.parent / "yolo" / "labels" / split / f"{name}.txt").write_text("2 0.5 0.5 0.25 0.5\n")
    (pictures.parent / "yolo" / "data.yaml").write_text(
        "path: /somewhere/else\ntrain: images/train\nval: images/val\nnames: {0: cup, 2: hat}\n"
    )
    opened = make("yolo", pictures.parent / "yolo" / "data.yaml")
    for split, name in (("_train", "a.png"), ("_val", "b.png")):
        ((sample,),) = (opened("rec", split),)
        assert sample.media[0].path.name == name
        assert sample.regions[0].box == (6, 3, 10, 9) and sample.regions[0].phrases == ("hat",)


@pytest.mark.shared
def test_real_objects_of_coco_and_a_held_out_part(make):
    source = REALDATA / "coco_mini"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")
    opened = make("coco", source / "annotations" / "instances_train2017.json", "--images", source / "train2017",
                  "--held-out", 5)  # fmt: skip
    for part, theirs in (("_train", "coco_mini_train"), ("_val", "coco_mini_test")):
        ours = [(sample.media, *what(sample)) for sample in opened("res", part)]
        assert ours == [(sample.media, *what(sample)) for sample in open_dataset(theirs, "res")] and len(ours) > 10


def what(sample) -> list:
    return [(region.phrases, region.box, region.mask) for region in sample.regions]


@pytest.mark.shared
def test_real_files_of_labelme_are_vocs_objects(make):
    source = REALDATA / "voc_sample"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")
    opened = make("labelme", source / "labelme_json", "--images", source / "VOC" / "JPEGImages")
    ours = {sample.media[0].path.name: sample for sample in opened("semantic")}
    names = (CONFIGS.parent / "datasets" / "vocabularies" / "voc.txt").read_text().split("\n")
    assert len(ours) == 3
    for sample in open_dataset("voc_sample", "semantic"):
        mine = {region.category: region.mask.draw() for region in ours[sample.media[0].path.name].regions}
        for region in sample.regions:
            if region.category != names[0]:  # all else is background
                truth, drawn = region.mask.draw(), mine[region.category]
                assert (truth & drawn).sum() / (truth | drawn).sum() > 0.9  # LabelMe's own drawing adds the outline


@pytest.mark.shared
def test_real_texts_of_yolo(make, home):
    source = REALDATA / "coco128_yolo"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")
    theirs = [what(sample) for sample in open_dataset("coco128_yolo_val", "rec")]
    folder = home.parent / "yolo"
    folder.mkdir()
    (folder / "images").symlink_to(source / "images" / "val2017")
    (folder / "labels").symlink_to(source / "object_detection" / "labels" / "val2017")
    (folder / "classes.txt").write_text((CONFIGS.parent / "datasets" / "vocabularies" / "coco.txt").read_text())
    ours = [what(sample) for sample in make("yolo", folder)("rec")]
    assert len(ours) == len(theirs) > 10
    for (phrases, box, _), (same, other, _) in zip(sum(ours, []), sum(theirs, []), strict=True):
        assert phrases == same and np.allclose(box, other)


def test_a_phrase_loses_the_article_that_the_questions_bring():
    assert phrases_in("the red cup\nA bowl\nanother cup") == ("red cup", "bowl", "another cup")
