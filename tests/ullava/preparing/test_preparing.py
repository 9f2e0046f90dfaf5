"""`ullava prepare`: what a kind writes is read as what it was made of; nothing is overwritten or half written."""

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.shared import SHARED
from ullava.datasets import masks
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.formats.labelme import TARGET, read_shapes
from ullava.datasets.readers.flat_json.salient_json import SalientJson
from ullava.datasets.readers.flat_json.ullava_parts import UllavaParts
from ullava.datasets.readers.flat_json.ullava_referring import UllavaReferring
from ullava.datasets.readers.flat_json.ullava_semantic import UllavaSemantic
from ullava.datasets.readers.regions.label_map import LabelMap
from ullava.datasets.readers.regions.refer import Refer
from ullava.datasets.tiny_world.world import draw_world
from ullava.preparing.__main__ import main
from ullava.preparing.base import PREPARATIONS, fresh, write_records
from ullava.preparing.pascal_part import CATEGORIES

REALDATA = SHARED / "realdata"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Four scenes of the embedded world, as a data root."""
    root = tmp_path_factory.mktemp("data")
    draw_world(root / "tiny_world", "tiny_test", 4, 0, workers=1)
    return root


def prepare(*arguments) -> None:
    main([str(argument) for argument in arguments])


def test_what_is_written_appears_whole_or_not_at_all(tmp_path):
    with fresh(tmp_path / "new" / "a.json") as scratch:
        assert write_records(scratch, ({"n": n} for n in range(2))) == 2
        assert not (tmp_path / "new" / "a.json").exists()
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == [{"n": 0}, {"n": 1}]
    with pytest.raises(FileExistsError, match="a.json exists, and nothing is overwritten"):
        fresh(tmp_path / "new" / "a.json").__enter__()
    with pytest.raises(ZeroDivisionError), fresh(tmp_path / "new" / "b", tmp_path / "new" / "c") as scratch:
        (scratch / "b").mkdir()
        (scratch / "c").write_text("half")
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


@pytest.mark.parametrize("kind", ["tiny_world", "refer", "openimages", "pascal_part", "ullava_json", "own"])
def test_help_says_what_a_kind_reads_and_writes(kind, capsys):
    with pytest.raises(SystemExit):
        prepare(kind, "--help")
    said = capsys.readouterr().out
    assert "reads: " in said and "writes: " in said and PREPARATIONS[kind].__doc__.splitlines()[0] in said


@pytest.fixture
def refcoco(tmp_path):
    """A set of REFER's: one picture, one object, two sentences; a key that nobody needs."""
    source, images = tmp_path / "refcoco", tmp_path / "train2014"
    source.mkdir(), images.mkdir()
    (images / "7.jpg").write_bytes(b"not opened here")
    ref = {"ref_id": 0, "ann_id": 3, "category_id": 1, "image_id": 7, "file_name": "7_3.jpg", "split": "val"}
    ref |= {"sentences": [{"sent": "left one"}, {"sent": "cup"}], "more": "nobody reads it"}
    tree = {
        "images": [{"id": 7, "file_name": "7.jpg", "height": 8, "width": 9}], "categories": [{"id": 1, "name": "cup"}],
        "annotations": [{"id": 3, "image_id": 7, "category_id": 1, "bbox": [1, 1, 4, 4],
                         "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}],
    }  # fmt: skip

    def write(**changes):
        (source / "refs(unc).p").write_bytes(pickle.dumps([ref | changes]))
        (source / "instances.json").write_text(json.dumps(tree))
        return source, images

    return write


def test_refer_is_checked_and_lies_where_the_catalogue_looks(refcoco, home, capsys):
    source, images = refcoco()
    prepare("refer", source, "--images", images)
    assert "1 references (val 1), 1 pictures, 2 sentences; 50000 are published" in capsys.readouterr().out
    (sample,) = open_dataset("refcoco_val", "res")
    assert sample.regions[0].phrases == ("left one", "cup")
    assert sample.media[0].path == home / "refer_seg/images/mscoco/images/train2014/7.jpg"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ann_id": 4}, "reference 0: instances.json has no object 4"),
        ({"sentences": [{"sent": " "}]}, "reference 0: no sentence, or one without a word"),
        ({"image_id": None}, "no picture None"),
        ({"sentences": None}, "reference 0: no sentence"),
    ],
)
def test_a_reference_that_cannot_be_used_stops_it(refcoco, home, changes, said):
    source, images = refcoco(**changes)
    with pytest.raises(ValueError, match="1 of 1 references cannot be used") as error:
        prepare("refer", source, "--images", images)
    assert said in str(error.value) and not (home / "refer_seg" / "refcoco").exists()


def test_a_lost_picture_of_refer_is_named(refcoco):
    source, images = refcoco()
    (images / "7.jpg").unlink()
    with pytest.raises(ValueError, match="7.jpg: no such picture"):
        prepare("refer", source, "--images", images)
    with pytest.raises(FileNotFoundError, match=r"expected refs\(unc\).p"):
        prepare("refer", images, "--images", images)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["refcoco", "refcoco+", "refcocog"])
def test_real_references_stay_what_they_are(name, home):
    source, images = REALDATA / "refer" / name, REALDATA / "refer/images/mscoco/images/train2014"
    if not source.is_dir():
        pytest.skip(f"{source} is absent")
    prepare("refer", source, "--images", images)
    refs = next(source.glob("refs*.p")).name
    theirs, ours = (
        list(Refer(name, place / refs, place / "instances.json", images))
        for place in (source, home / "refer_seg" / name)
    )
    assert ours == theirs and len(ours) > 1


def write_csv(path: Path, *lines) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


def test_the_index_of_openimages(tmp_path):
    head = ("MaskPath", "ImageID", "LabelName", "BoxID")
    rows = [
        ("d0_m01_a.png", "d0", "/m/01", "a"), ("d0_m01_b.png", "d0", "/m/01", "b"),
        ("d0_m02_c.png", "d0", "/m/02", "c"), ("71_m02_d.png", "71", "/m/02", "d"),
    ]  # fmt: skip
    masks_csv = write_csv(tmp_path / "masks.csv", head, *rows)
    names = write_csv(tmp_path / "names.csv", ("/m/01", "Suit"), ("/m/02", "Tie"), ("/m/03", "Cat"))
    prepare("openimages", masks_csv, names, "--output", tmp_path / "index.json")
    assert json.loads((tmp_path / "index.json").read_text()) == {
        "d0": {"suit": ["d/d0_m01_a.png", "d/d0_m01_b.png"], "tie": ["d/d0_m02_c.png"]},
        "71": {"tie": ["7/71_m02_d.png"]}, "categories": ["suit", "tie"],
    }  # fmt: skip
    flat = tmp_path / "flat"
    (flat / "d").mkdir(parents=True)
    for place in ("d0_m01_a.png", "d/d0_m01_b.png", "d0_m02_c.png", "71_m02_d.png"):
        (flat / place).touch()
    prepare("openimages", masks_csv, names, "--output", tmp_path / "b.json", "--masks", flat)
    assert json.loads((tmp_path / "b.json").read_text())["d0"]["suit"] == ["d0_m01_a.png", "d/d0_m01_b.png"]
    (flat / "71_m02_d.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 masks are missing; 7/71_m02_d.png"):
        prepare("openimages", masks_csv, names, "--output", tmp_path / "c.json", "--masks", flat)
    with pytest.raises(ValueError, match="masks.csv:4: no name for the class '/m/02'"):
        names = write_csv(tmp_path / "fewer.csv", ("/m/01", "Suit"))
        prepare("openimages", masks_csv, names, "--output", tmp_path / "d.json")
    with pytest.raises(ValueError, match="no column 'MaskPath'; did you mean 'MaskPaths'"):
        prepare("openimages", write_csv(masks_csv, ("MaskPaths",), "x"), names, "--output", tmp_path / "e.json")


def test_pascals_matlab_files_become_coco(tmp_path):
    from scipy.io import savemat

    from ullava.datasets.readers.regions.coco_instances import CocoInstances

    assert len(CATEGORIES) == 93 and CATEGORIES[34] == "cat:paw" and CATEGORIES[82] == "potted plant:plant"
    paw, eye = np.zeros((2, 6, 8), np.uint8)
    paw[4:, 1:3], eye[1, 5] = 1, 1
    parts = np.array([("lfpa", paw), ("leye", eye), ("reye", eye * 0)], [("part_name", "O"), ("mask", "O")])
    things = np.array([("cat", 8, paw, parts), ("sofa", 18, eye, np.zeros((0, 0)))],
                      [("class", "O"), ("class_ind", "O"), ("mask", "O"), ("parts", "O")])  # fmt: skip
    folder = tmp_path / "Annotations_Part"
    folder.mkdir()
    for stem in ("2008_000008", "2008_000009"):
        savemat(folder / f"{stem}.mat", {"anno": {"imname": stem, "objects": things}})
    (tmp_path / "train.txt").write_text("2008_000009  1\n")
    prepare("pascal_part", folder, "--listed", tmp_path / "train.txt", "--output", tmp_path / "train.json")
    (sample,) = CocoInstances("part", tmp_path / "train.json", tmp_path)
    assert sample.media[0].path.name == "2008_000009.jpg" and sample.media[0].size == (6, 8)
    assert [region.category for region in sample.regions] == ["cat:paw", "cat:eye"]
    assert sample.regions[0].box == (1, 4, 3, 6) and (sample.regions[0].mask.draw() == paw).all()
    (folder / "2008_000009.mat").write_bytes(b"no such file")
    with pytest.raises(ValueError, match=r"2008_000009.mat: expected a MATLAB file"):
        prepare("pascal_part", folder, "--output", tmp_path / "again.json")
    with pytest.raises(FileNotFoundError, match="lacks 1 of 1 files"):
        (folder / "2008_000009.mat").unlink()
        prepare("pascal_part", folder, "--listed", tmp_path / "train.txt", "--output", tmp_path / "again.json")


@pytest.mark.shared
def test_expressions_of_several_hops_lie_as_reasonsegs_do(home, capsys):
    if not (REALDATA / "refcocos").is_dir():
        pytest.skip(f"{REALDATA} is absent")
    prepare("reason_proxy", REALDATA / "refcocos", "--images", REALDATA, "--split", "val")
    matches = json.loads((REALDATA / "refcocos" / "coco_mask_matches.json").read_text())
    files = sorted((home / "reason_seg/ReasonProxy/val").glob("*.json"))
    assert f"{len(files)} expressions with masks" in capsys.readouterr().out and len(files) == len(matches)
    for number, match in enumerate(matches):
        path = next(path for path in files if path.stem.endswith(f"_{number}"))
        shapes = read_shapes(path)
        truth = masks.from_coco(match["annotation"]["segmentation"], shapes.size).draw()
        assert ((shapes.paint() == TARGET) == truth).all() and path.with_suffix(".jpg").is_file()
        assert shapes.texts == (match["caption"],) and shapes.is_sentence


def regions_of(samples) -> list:
    """What is said, and where it is, of all regions; masks drawn."""
    return [
        (sample.media[region.picture].path, region.phrases, region.category, region.reason,
         tuple(np.round(region.box, 6)) if region.box else None,
         region.mask.draw().tobytes() if region.mask else None)
        for sample in samples
        for region in sample.regions
    ]  # fmt: skip


def write_json(form, name, root, output, *more) -> Path:
    prepare("ullava_json", form, name, "--root", root, "--output", output, *more)
    return output


def test_u_llavas_files_give_the_regions_they_came_from(tiny, home, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(tiny))
    root = tiny / "tiny_world"
    path = write_json("referring", "tiny_test", tiny, home / "res.json")
    assert regions_of(UllavaReferring("a", path, tiny)) == regions_of(open_dataset("tiny_test", "res"))
    path = write_json("semantic", "tiny_test", root, home / "semantic.json")
    record = json.loads(path.read_text())[0]
    assert record.keys() == {"image_path", "label_path", "classes"} and record["image_path"].startswith("tiny_test/")
    ours = UllavaSemantic("a", path, root, first_id=1, void=(0,))
    split = root / "tiny_test"
    theirs = LabelMap("a", split / "images", split / "labels", split / "classes.txt", first_id=1, void=(0,))
    assert regions_of(ours) == regions_of(theirs)
    assert [(a.ignored.draw() == b.ignored.draw()).all() for a, b in zip(ours, theirs, strict=True)] == [True] * 4
    path = write_json("salient", "tiny_test", root, home / "salient.json")
    assert regions_of(SalientJson("a", path, root)) == regions_of(open_dataset("tiny_test", "salient"))
    path = write_json("parts", "tiny_test", root, home / "parts.json", "--task", "res")
    theirs = [(*said[:1], (), *said[2:]) for said in regions_of(open_dataset("tiny_test", "res"))]
    assert regions_of(UllavaParts("a", path, root)) == theirs


def test_classes_can_be_left_out_and_a_wrong_form_is_said(tiny, home, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(tiny))
    named = {said["class"] for record in json.loads(write_json("semantic", "tiny_test", tiny, home / "a").read_text())
             for said in record["classes"]}  # fmt: skip
    path = write_json("semantic", "tiny_test", tiny, home / "b", "--without", sorted(named)[0])
    kept = {said["class"] for record in json.loads(path.read_text()) for said in record["classes"]}
    assert kept == {name for name in named if sorted(named)[0] not in name}
    with pytest.raises(ValueError, match="is no class of a label map; take the form parts"):
        write_json("semantic", "tiny_test", tiny, home / "c", "--task", "res")
    with pytest.raises(ValueError, match="does not lie below .*; name a folder above it with --root"):
        write_json("salient", "tiny_test", home, home / "d")
    with pytest.raises(ValueError, match="nothing in it has the form referring"):
        write_json("referring", "tiny_test", tiny, home / "e", "--task", "salient")
    assert sorted(path.name for path in home.iterdir()) == ["a", "b"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("form", "name", "task", "open_again"),
    [
        ("referring", "refcoco_sample", "res", UllavaReferring), ("referring", "coco128_train", "res", UllavaReferring),
        ("semantic", "camvid_val", "semantic", UllavaSemantic), ("salient", "davis2016_sample", "salient", SalientJson),
        ("parts", "tiny_coco_val", "res", UllavaParts),
    ],
)  # fmt: skip
def test_real_originals_become_u_llavas_files(form, name, task, open_again, home):
    if not REALDATA.is_dir():
        pytest.skip(f"{REALDATA} is absent")
    path = write_json(form, name, REALDATA, home / "file.json", "--task", task)
    theirs = regions_of(open_dataset(name, task))
    if form == "parts":
        theirs = [(*said[:1], (), *said[2:]) for said in theirs]
    ours = regions_of(open_again("a", path, REALDATA))
    assert len(ours) == len(theirs) > 0
    assert [one[:4] + one[5:] for one in ours] == [one[:4] + one[5:] for one in theirs]
    assert all(b is None or a == b for a, b in zip((one[4] for one in ours), (one[4] for one in theirs), strict=True))
