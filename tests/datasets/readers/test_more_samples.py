"""Real samples told in two ways say the same: panoptic and semantic, YOLO's boxes and polygons, VOC and COCO."""

import json
import shutil

import numpy as np
import pytest

from ullava.configs.load import CONFIGS, read_yaml
from ullava.datasets import boxes, images
from ullava.datasets.catalogue import find, open_dataset
from ullava.datasets.readers.base import READERS
from ullava.datasets.structures import MARK, Picture

pytestmark = pytest.mark.shared


@pytest.fixture(autouse=True)
def shared(realdata, monkeypatch):
    monkeypatch.setenv("ULLAVA_SHARED", str(realdata.parent))


ENTRIES = read_yaml(CONFIGS / "datasets" / "more_samples.yaml")
TASKS_OF = {"label_map": "semantic", "salient_pairs": "salient", "coco_instances": "res", "phrase_boxes": "rec"}
ROWS = [
    (name, task or TASKS_OF.get(entry["reader"], "vqa"))
    for name, entry in ENTRIES.items()
    for task in entry.get("by_task", [None])
]


def by_name(sample):
    """Category -> its only region."""
    return {region.category: region for region in sample.regions}


def test_panoptic_pictures_merged_by_category_are_the_semantic_ones():
    merged, semantic = (open_dataset(name, "semantic") for name in ("coco128_panoptic_val", "coco128_val"))
    labels = {sample.media[0].path: sample for sample in semantic}
    for sample in list(merged)[::4]:
        same = labels[sample.media[0].path]
        assert by_name(sample).keys() == by_name(same).keys() and set(sample.absent) == set(same.absent)
        for name, region in by_name(sample).items():
            assert (region.mask.draw() == by_name(same)[name].mask.draw()).all(), f"{sample.id}: {name}"


def test_yolos_boxes_go_around_its_polygons():
    boxed, drawn = (open_dataset("coco128_yolo_val", task) for task in ("rec", "res"))
    polygons = {sample.media[0].path: by_name(sample) for sample in drawn}
    overlaps = [
        boxes.iou(region.box, polygons[sample.media[0].path][name].box)
        for sample in boxed
        for name, region in by_name(sample).items()
        if name in polygons.get(sample.media[0].path, {})
    ]
    assert len(overlaps) > 10 and sorted(overlaps)[len(overlaps) // 2] > 0.95  # hidden parts have no polygon


def test_vocs_pixels_are_the_polygons_of_the_same_pictures():
    pixels = {s.media[0].path.name: by_name(s) for s in open_dataset("voc_sample", "semantic")}
    checked = 0
    for sample in open_dataset("voc_sample", "res"):  # objects whose category is there once
        for name, region in by_name(sample).items():
            classes = pixels[sample.media[0].path.name]
            a, b = region.mask.draw(), classes[{"tv/monitor": "tv monitor"}.get(name, name)].mask.draw()
            assert (a & b).sum() / (a | b).sum() > 0.8, f"{sample.id}: {name}"
            checked += 1
    assert checked


def test_ade20ks_vocabulary_is_in_the_published_order(realdata):
    lines = (realdata / "ade20k_sample/objectInfo150.txt").read_text().splitlines()[1:]
    published = [line.split("\t")[-1].lower() for line in lines]
    ours = list(open_dataset("ade20k_sample").names.values())
    assert len(ours) == len(published)
    for number, (name, synonyms) in enumerate(zip(ours, published, strict=True), 1):
        assert set(name.lower().split()) & set(synonyms.replace(",", " ").split()), f"{number}: {name}, {synonyms}"


def test_refcocos_boxes_and_absent_phrases_are_all_there(realdata, tmp_path):
    folder = realdata / "refcocos"
    for paths in json.loads((folder / "image_paths_in_this_pack.json").read_text()).values():
        shutil.copy(realdata / paths[0], tmp_path)
    entry = {**find("refcocos", {})}
    entry |= {"annotations": str(folder / "refcocos_test.json"), "layouts": [{"images": str(tmp_path)}]}
    records = json.loads((folder / "refcocos_test.json").read_text())
    reader = open_dataset("refcocos", "rec", {"refcocos": entry | {"targets_only": False}})
    found = {(s.media[0].path.name, p): r.box for s in reader for r in s.regions for p in r.phrases}
    stated = {(r["file_name"], r["normal_caption"]): r["solution"] for r in records}
    assert found == {key: tuple(box) for key, box in stated.items() if box}
    absent = {(s.media[0].path.name, p) for s in reader for p in s.absent}
    assert absent == {key for key, box in stated.items() if not box}
    assert all(sample.regions and not sample.absent for sample in open_dataset("refcocos", "rec", {"refcocos": entry}))
    for match in json.loads((folder / "coco_mask_matches.json").read_text()):
        box = found[f"{match['image_id']:012d}.jpg", match["caption"]]
        assert boxes.iou(box, boxes.from_xywh(match["annotation"]["bbox"])) == pytest.approx(match["iou"], abs=0.011)


def test_entities_boxes_lie_in_their_pictures_whatever_their_scale(realdata):
    reader = open_dataset("entities_sample")
    rows = map(json.loads, reader.annotations.read_text().splitlines())
    read = {(s.media[0].path.name, phrase) for s in reader for region in s.regions for phrase in region.phrases}
    assert read == {(row["flickr8k_file"], row["phrase"]) for row in rows}
    for sample in reader:
        height, width = images.size_of(sample.media[0].path)
        for region in sample.regions:
            x0, y0, x1, y1 = region.box
            assert 0 <= x0 < x1 <= width + 1 and 0 <= y0 < y1 <= height + 1, sample.id  # copies are rounded to pixels


def test_pope_asks_all_its_questions(realdata):
    for path in sorted((realdata / "pope").rglob("*.json")):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        samples = READERS["pope"]("pope", path, realdata)  # the pictures of the whole file are not there
        read = [(s.media[0].path.name, turn.question, turn.answer) for s in samples for turn in s.turns]
        assert sorted(read) == sorted((r["image"], r["text"], r["label"]) for r in records)


@pytest.mark.parametrize("name", ["sharegpt_sample", "sharegpt_video_sample"])
def test_sharegpts_marks_are_its_media(name, realdata):
    reader = open_dataset(name)
    records = json.loads(reader.annotations.read_text())
    for sample, record in zip(reader, records, strict=True):
        paths = [*record.get("images", ()), *record.get("videos", ())]
        assert [medium.path for medium in sample.media] == [reader.images / path for path in paths]
        marks = sum(len(MARK.findall(turn.question)) for turn in sample.turns)
        assert marks == sum(len(turn.media) for turn in sample.turns) == (len(paths) if len(paths) > 1 else 0)
        assert isinstance(sample.media[0], Picture) == ("images" in record)


def test_davis_sequences_are_folders(realdata):
    reader = open_dataset("davis2016_sample")
    masks = sorted((realdata / "davis2016/Annotations/480p").rglob("*.png"))
    assert [sample.regions[0].mask.path for sample in reader] == masks
    for sample, mask in zip(reader, masks, strict=True):
        assert sample.media[0].path.parts[-2:] == (mask.parent.name, f"{mask.stem}.jpg")


@pytest.mark.parametrize(("name", "task"), ROWS)
def test_every_sample_can_be_asked(name, task):
    import ullava.tasks  # noqa: F401, registers them
    from ullava.tasks.base import TASKS

    asked, rng = TASKS.build(task, {}), np.random.default_rng(0)
    for sample in open_dataset(name, task if "by_task" in ENTRIES[name] else None):
        assert asked.dialogue(sample, rng).turns and list(asked.eval_dialogues(sample))


@pytest.mark.parametrize("name", ["sharegpt_sample", "sharegpt_video_sample"])
def test_every_medium_of_a_chat_gets_its_place_in_the_row(name, recipe):
    from ullava.datasets.structures import Dialogue
    from ullava.models.assembly import assemble

    processor = assemble(recipe(heads={}), max_length=2048).processor
    for sample in open_dataset(name):
        row = processor(Dialogue(sample.id, sample, sample.turns))
        patch = {kind: (row.input_ids == number).sum() for kind, number in processor.patch_ids.items()}
        assert len(row.media) == len(sample.media)
        assert sum(patch.values()) == sum(processor.tokens_of(medium) for medium in sample.media), sample.id
