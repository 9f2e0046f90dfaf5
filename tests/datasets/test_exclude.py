"""Pictures of named splits are left out: the same file, MS COCO's id, or the same bytes; a name alone says nothing."""

import json

import pytest
from PIL import Image

from ullava.datasets.catalogue import open_dataset
from ullava.datasets.exclude import Pictures, coco_id, dropped

COLOURS = {"a": "red", "b": "green", "c": "blue", "d": "white"}


@pytest.fixture
def sets(tmp_path):
    """Catalogue entries of single-picture records by name -> their files; equal colours mean equal bytes."""

    def make(**named) -> dict:
        own = {}
        for name, files in named.items():
            folder = tmp_path / name
            folder.mkdir()
            for file, paint in files.items():
                Image.new("RGB", (8, 8), paint).save(folder / file)
            box = {"height": 8, "width": 8, "category": "cat", "bbox": [1, 1, 4, 4]}
            ring = {"segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "sentences": ["the cat"]}
            records = [box | ring | {"image_path": file} for file in files]
            (folder / "refs.json").write_text(json.dumps(records))
            own[name] = {"reader": "ullava_referring", "annotations": str(folder / "refs.json"), "images": str(folder)}
        return own

    return make


def shown(reader):
    return [sample.media[0].path.name for sample in reader]


def test_equal_bytes_are_one_picture_and_equal_names_are_not(sets):
    own = sets(train={"0.png": "red", "1.png": "green", "2.png": "blue"}, val={"0.png": "blue", "9.png": "white"})
    assert shown(open_dataset("train", "res", own, ["val"])) == ["0.png", "1.png"]


def test_an_id_of_coco_is_one_picture_whatever_its_bytes(sets):
    files = {"COCO_train2014_000000000012.png": "red", "COCO_train2014_000000000013.png": "green"}
    own = sets(train=files, val={"000000000013.png": "blue"})
    assert shown(open_dataset("train", "res", own, ["val"])) == ["COCO_train2014_000000000012.png"]


def test_two_ids_of_coco_are_two_pictures_and_no_file_is_read(sets, monkeypatch):
    own = sets(train={"000000000012.png": "red"}, val={"000000000013.png": "red"})
    monkeypatch.setattr(Pictures, "digest", lambda *_: pytest.fail("read a file"))
    assert len(open_dataset("train", "res", own, ["val"])) == 1


def test_a_copy_without_the_id_is_found_by_its_bytes(sets):
    own = sets(train={"copy.png": "red", "b.png": "blue"}, val={"000000000012.png": "red"})
    assert shown(open_dataset("train", "res", own, ["val"])) == ["b.png"]
    own = {"train": own["val"], "val": own["train"], "other": own["train"]}
    with pytest.raises(ValueError, match="train: exclude: val show all of its pictures, and nothing is left"):
        open_dataset("train", "res", own, ["val"])


def test_an_entry_may_exclude_and_its_first_samples_are_counted_afterwards(sets):
    own = sets(train={"0.png": "red", "1.png": "green", "2.png": "blue"}, val={"x.png": "red"})
    own["train"] |= {"exclude": ["val"], "first": 2}
    own["val"] |= {"exclude": ["train"]}  # two sets may exclude each other: the other is taken whole
    reader = open_dataset("train", "res", own)
    assert shown(reader) == ["1.png", "2.png"] and dropped(reader) == 1
    own["train"]["exclude"] = "val"
    with pytest.raises(ValueError, match="train: exclude: expected a list of datasets, found 'val'"):
        open_dataset("train", "res", own)


def test_every_task_of_an_excluded_set_counts(sets):
    own = sets(train={"0.png": "red", "1.png": "green", "2.png": "blue"}, one={"x.png": "red"}, two={"y.png": "blue"})
    own["val"] = {"by_task": {"res": own["one"], "rec": own["two"]}}
    assert shown(open_dataset("train", "res", own, ["val"])) == ["1.png"]


def test_a_missing_file_stays_and_says_so_when_it_is_asked_for(sets, tmp_path):
    own = sets(train={"0.png": "red", "1.png": "green"}, val={"x.png": "red"})
    (tmp_path / "train" / "1.png").unlink()
    assert shown(open_dataset("train", "res", own, ["val"])) == ["1.png"]


def test_an_unknown_name_is_named(sets):
    own = sets(train={"0.png": "red"}, val={"x.png": "blue"})
    with pytest.raises(LookupError, match="no dataset 'vall'; did you mean 'val'?"):
        open_dataset("train", "res", own, ["vall"])


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("COCO_val2014_000000581857.jpg", "000000581857"), ("000000581857.png", "000000581857"),
        ("0000000581857.jpg", None), ("x000000581857.jpg", None), ("GCC_train_002582585.jpg", None),
    ],
)  # fmt: skip
def test_what_an_id_of_coco_is(tmp_path, name, identity):
    assert coco_id(tmp_path / name) == identity
