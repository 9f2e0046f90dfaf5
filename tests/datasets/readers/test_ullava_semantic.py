"""u-LLaVA's JSON for ADE20K and COCO-Stuff: the classes that a record lists, drawn from its label map."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.readers.flat_json.ullava_semantic import UllavaSemantic

# ADE20K writes the class k as k + 1, and 0 where none of its classes is.
LABELS = np.array([[0, 0, 3, 3], [0, 5, 3, 3], [5, 5, 5, 3]], np.uint8)
RECORD = {
    "image_path": "images/training/a.jpg", "label_path": "annotations/training/a.png",
    "classes": [{"class": "sky", "class_id": 2}, {"class": "tree", "class_id": 4}],
}  # fmt: skip


@pytest.fixture
def ade(tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    for path in (RECORD["image_path"], RECORD["label_path"]):
        (tmp_path / path).parent.mkdir(parents=True)
    Image.new("RGB", (4, 3)).save(tmp_path / RECORD["image_path"])
    Image.fromarray(LABELS).save(tmp_path / RECORD["label_path"])

    def read(record=RECORD):
        (tmp_path / "ade20k.json").write_text(json.dumps([record]))
        return UllavaSemantic("ade20k", tmp_path / "ade20k.json", tmp_path, first_id=1, void=(0,))[0]

    return read


def test_a_class_is_drawn_where_its_value_stands(ade):
    sample = ade()
    assert [region.category for region in sample.regions] == ["sky", "tree"]
    for region, value in zip(sample.regions, (3, 5), strict=True):
        assert (region.mask.draw() == (value == LABELS)).all()
    assert (sample.ignored.draw() == (LABELS == 0)).all()


def test_a_label_map_outside_of_its_folder_is_refused(ade):
    with pytest.raises(ValueError, match="leads out of"):
        ade(RECORD | {"label_path": "../a.png"})


def test_a_record_without_classes_says_so(ade):
    with pytest.raises(ValueError, match="a.0: the record has no key 'classes'"):
        ade({key: RECORD[key] for key in ("image_path", "label_path")})
