"""The catalogue's real samples: every record reads, pixels, masks and boxes agree. Counts come from the files."""

import csv
import json
from collections import defaultdict

import pytest

from ullava.configs.load import CONFIGS, read_yaml
from ullava.datasets import boxes, images, masks, videos
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.structures import Picture

pytestmark = pytest.mark.shared
MAIN, MORE = (read_yaml(CONFIGS / "datasets" / f"{name}_samples.yaml") for name in ("real", "more"))
ENTRIES = {**MAIN, **MORE}
ROWS = [(name, task) for name, entry in ENTRIES.items() for task in entry.get("by_task", [None])]


@pytest.fixture(autouse=True)
def shared(realdata, monkeypatch):
    monkeypatch.setenv("ULLAVA_SHARED", str(realdata.parent))


@pytest.mark.parametrize(("name", "task"), ROWS, ids=lambda value: str(value))
def test_every_record_reads(name, task):
    reader = open_dataset(name, task)
    seen = {sample.id for sample in reader}
    assert len(seen) == len(reader) > 0
    for sample in reader:
        assert sample.id.startswith(f"{name}/")
        assert sample.media and all(medium.path.is_file() for medium in sample.media)
        assert sample.turns or sample.regions
        assert all(turn.answer in turn.references for turn in sample.turns)


@pytest.mark.parametrize(("name", "task"), ROWS, ids=lambda value: str(value))
def test_pixels_masks_and_boxes_agree(name, task):
    reader = open_dataset(name, task)
    for sample in list(reader)[::6]:
        medium = sample.media[0]
        if not isinstance(medium, Picture):
            assert videos.read_frames(medium, 4).shape[0] == 4
            continue
        size = images.read(medium).shape[:2]
        assert images.size_of(medium.path) == size
        for region in sample.regions:
            if region.mask is None:
                x0, y0, x1, y1 = region.box
                assert -1 <= x0 < x1 <= size[1] + 1 and -1 <= y0 < y1 <= size[0] + 1, sample.id
                continue
            drawn = region.mask.draw()
            masks.check_size(drawn, size, sample.id)
            assert drawn.any()
            if region.box:  # a stated box goes along the polygon, the drawn one along whole pixels
                x0, y0, x1, y1 = (abs(a - b) for a, b in zip(boxes.box_of(drawn), region.box, strict=True))
                assert max(x0, y0, x1, y1) <= 2, sample.id
        if sample.ignored:
            sample_mask = sample.ignored.draw()
            assert not any((region.mask.draw() & sample_mask).any() for region in sample.regions)


@pytest.mark.parametrize("name", ["coco_mini", "flickr8k_sample", "duts_sample"])
def test_every_fifth_file_is_held_out_and_no_other(name):
    tasks = ENTRIES[f"{name}_train"].get("by_task", [None])
    parts = [
        {sample.media[0].path for task in tasks for sample in open_dataset(f"{name}_{part}", task)}
        for part in ("train", "test")
    ]
    assert not parts[0] & parts[1], "no picture is seen in training for one task and held out for another"
    files = sorted(parts[0] | parts[1])
    assert parts[1] == set(files[4::5])


def test_published_splits_do_not_share_pictures():
    for name in ("camvid", "daquar", "msrvtt"):
        train, test = ({sample.media[0].path for sample in open_dataset(f"{name}_{p}")} for p in ("train", "test"))
        assert train and test and not train & test


def test_coco_captions_hold_every_caption_of_the_file(realdata):
    tree = json.loads((realdata / "coco_mini/annotations/captions_train2017.json").read_text())
    read = [
        caption
        for part in ("train", "test")
        for sample in open_dataset(f"coco_mini_{part}", "captioning")
        for caption in sample.turns[0].references
    ]
    assert sorted(read) == sorted(note["caption"].strip() for note in tree["annotations"])


def test_refer_holds_every_published_sentence(realdata):
    for name, folder in (("refcoco", "refcoco"), ("refcoco+", "refcoco+"), ("refcocog", "refcocog")):
        rows = (realdata / "refer" / folder / "vltvg_rows.jsonl").read_text().splitlines()
        published = defaultdict(list)
        for row in map(json.loads, rows):
            published[row["file_name"], row["phrase"]].append(boxes.from_xywh(row["bbox_xywh"]))
        read = 0
        for sample in open_dataset(f"{name}_sample"):
            for region in sample.regions:
                for phrase in region.phrases:
                    stated = published[sample.media[0].path.name, phrase]
                    assert max(boxes.iou(region.box, box) for box in stated) > 0.97  # some are rounded to pixels
                    read += 1
        assert read >= len(rows) - 1, "one published row may lack its mask (PROVENANCE)"


def test_daquars_csv_and_text_ask_the_same_of_the_same_pictures(realdata):
    folder = realdata / "daquar/dataset"
    with (folder / "data.csv").open(newline="") as file:
        stated = {(row["image_id"], row["answer"]) for row in csv.DictReader(file)}
    read = {
        (sample.media[0].path.stem, turn.answer)
        for part in ("train", "test")
        for sample in open_dataset(f"daquar_{part}")
        for turn in sample.turns
    }
    assert read == stated
    own = {"text": {**ENTRIES["daquar_train"], "questions": "all_qa_pairs.txt"}}
    as_text, as_csv = open_dataset("text", None, own), open_dataset("daquar_train")
    for a, b in zip(as_text, as_csv, strict=True):
        assert [turn.answer for turn in a.turns] == [turn.answer for turn in b.turns]


def test_ade20ks_sample_reads_with_its_vocabulary(realdata):
    folder = realdata / "ade20k_sample" / "sampleData"
    paths = {"images": str(folder / "images"), "labels": str(folder / "annotations")}
    entry = {"reader": "label_map", "classes": "ade20k.txt", "first_id": 1, "void": [0], **paths}
    for sample in open_dataset("ade", "semantic", {"ade": entry}):
        assert len(sample.regions) + len(sample.absent) == 150
        assert images.read(sample.media[0]).shape[:2] == sample.regions[0].mask.size


def test_camvid_shows_the_sky_above_the_road():
    for sample in open_dataset("camvid_train"):
        rows = {region.category: region.mask.draw().nonzero()[0].mean() for region in sample.regions}
        assert rows["sky"] < rows["road"]
