"""`ullava check --depth sample` pictures a sample of every format that there is a reader for."""

import shutil
from pathlib import Path

import pytest
import yaml

from ullava.checking.check import check_whole
from ullava.configs.load import CONFIGS
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import READERS
from ullava.datasets.tiny_world import layouts, originals, questions
from ullava.datasets.tiny_world.world import draw_world

FOUNDATIONS = CONFIGS / "real" / "foundations"
SCENES, VIDEOS = 8, 1
PUBLISHED = (
    originals.open_images, originals.pascal_part, originals.paco, originals.yolo, originals.panoptic,
    originals.phrase_boxes, originals.entities, questions.gqa, questions.text_vqa, questions.pope, questions.daquar,
    questions.flickr,
)  # fmt: skip
OWN = {
    "objects": {"reader": "coco_instances", "root": "tiny_world/tiny_train", "annotations": "instances.json",
                "images": "images", "unique_categories": True},
    "odvg": {"reader": "odvg", "annotations": "odvg.jsonl", "images": "tiny_world/tiny_train/images"},
    "pairs": {"reader": "salient_pairs", "images": "pairs/images", "masks": "pairs/masks"},
    "parts": {"reader": "ullava_parts", "annotations": "parts.json", "images": "tiny_world/tiny_train"},
    "yolo": {"reader": "yolo", "images": "yolo/images", "labels": "yolo/labels", "classes": "yolo/classes.txt",
             "unique_categories": True},
    "matlab": {"reader": "pascal_part", "classes": "pascal_part.txt", "root": "vlpart/pascal_part",
               "annotations": "Annotations_Part", "images": "VOCdevkit/VOC2010/JPEGImages"},
}  # fmt: skip
ROWS = [
    *(("tiny_train", task) for task in (
        "captioning", "res", "vqa", "salient", "semantic", "reasoning", "part", "video_captioning")),
    ("tiny_train_chat", "vqa"), ("objects", "res"), ("coco_panoptic_val", "semantic"), ("paco_lvis", "part"),
    ("matlab", "part"), ("parts", "semantic"), ("refcoco", "res"), ("ade20k", "semantic"), ("openimages", "semantic"),
    ("odvg", "rec"), ("entities_test", "rec"), ("refcocos", "rec"), ("yolo", "rec"), ("pairs", "salient"),
    ("flickr8k_test", "captioning"), ("tgif", "video_captioning"), ("gqa_testdev", "vqa"), ("textvqa_val", "vqa"),
    ("pope_random", "vqa"), ("daquar", "vqa"),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data root in which a drawn world lies in every format."""
    root = tmp_path_factory.mktemp("data")
    world = draw_world(root / "tiny_world", "tiny_train", SCENES, VIDEOS, workers=1)
    for write in PUBLISHED:
        write(world, root)
    layouts.gifs(world, root / "TGIF/GIFs", root / "TGIF/unread.json")
    originals.tgif(root)
    originals.odvg(world, root / "odvg.jsonl")
    layouts.parts(world, root / "parts.json", "images")
    (root / "ullava").mkdir()
    layouts.referring(world, root / "ullava/refcoco_train.json", "train2014")
    layouts.copy(world / "images", root / "coco2014/train2014")
    layouts.semantic(world, root / "ullava/ade20k.json", "images", "labels", 1)
    for folder in ("images", "labels"):
        layouts.copy(world / folder, root / "ade20k" / folder)
    layouts.copy(world / "salient", root / "pairs/masks")
    (root / "pairs/images").mkdir()
    for mask in (world / "salient").iterdir():
        shutil.copy(world / "images" / mask.name, root / "pairs/images")
    return root


@pytest.fixture
def examples(data, tmp_path, monkeypatch) -> dict[str, str]:
    """Title of each example on the page, and its HTML; a fault in any row would raise."""
    monkeypatch.setenv("ULLAVA_DATA", str(data))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    model = {
        "llm": str(FOUNDATIONS / "llm"), "vision": {"tower": str(FOUNDATIONS / "clip")}, "conversation": "simple",
        "heads": {"mask": {"sam": str(FOUNDATIONS / "sam")}, "box": {}}, "from_scratch": ["llm", "vision", "sam"],
    }  # fmt: skip
    options = {"openimages": {"rounds": 1}}
    tree = {
        "output_dir": str(tmp_path / "run"), "model": model, "learn": {"heads": 1e-3}, "datasets": OWN,
        "data": [{"dataset": name, "task": task, "options": options.get(name, {})} for name, task in ROWS],
    }  # fmt: skip
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    check_whole(path, depth="sample", sample=2)
    found = (tmp_path / "run/check/check.html").read_text().partition('id="examples"')[2].split("<h3>")[1:]
    return dict(one.split("</h3>", 1) for one in found)


def test_every_format_is_pictured(examples):
    readers = {type(open_dataset(name, task, OWN)).name for name, task in ROWS}
    assert readers == READERS.keys(), "a row for each reader, please"
    assert list(examples) == [f"data[{number}]: {name}, {task}" for number, (name, task) in enumerate(ROWS)]
    assert all("data:image/" in html for html in examples.values())
