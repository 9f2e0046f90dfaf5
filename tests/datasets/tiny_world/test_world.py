"""The embedded world on disk, read back by the readers of real data."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.catalogue import open_dataset
from ullava.datasets.tiny_world.scene import SHAPES
from ullava.datasets.tiny_world.words import is_relational
from ullava.datasets.tiny_world.world import draw_world

TASKS = ("captioning", "res", "rec", "vqa", "salient", "semantic", "video_captioning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    draw_world(root / "tiny_world", "tiny_val", 40, videos=2, workers=1)
    return root


@pytest.fixture
def opened(root, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(root))
    return lambda task: open_dataset("tiny_val", task)


@pytest.mark.parametrize("task", TASKS)
def test_one_name_serves_every_task(opened, task):
    reader = opened(task)
    samples = [reader[i] for i in range(len(reader))]
    assert samples and all(sample.id.startswith("tiny_val/") for sample in samples)
    assert all(medium.path.is_file() for sample in samples for medium in sample.media)


def test_referred_things_keep_their_masks_and_boxes(opened):
    for sample in opened("res"):
        for region in sample.regions:
            mask = region.mask.draw()
            ys, xs = np.nonzero(mask)
            assert region.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert region.category in SHAPES and region.phrases


def test_a_third_of_the_written_phrases_need_a_relation(opened):
    phrases = [text for sample in opened("res") for region in sample.regions for text in region.phrases]
    assert np.mean([is_relational(text) for text in phrases]) >= 0.3


def test_label_maps_name_the_absent_shapes(opened):
    for sample in opened("semantic"):
        present = {region.category for region in sample.regions}
        assert present | set(sample.absent) == set(SHAPES) and not present & set(sample.absent)


def test_label_maps_agree_with_the_instances(opened):
    maps, things = opened("semantic"), opened("res")
    by_file = {sample.media[0].path.name: sample for sample in maps}
    for sample in list(things)[:10]:
        regions = {region.category: region.mask.draw() for region in by_file[sample.media[0].path.name].regions}
        for region in sample.regions:
            assert regions[region.category][region.mask.draw()].all()


def test_salient_masks_are_one_thing_with_a_reason(opened):
    for sample in opened("salient"):
        (region,) = sample.regions
        assert region.reason and region.mask.draw().any()
        assert region.category in region.reason


def test_questions_have_ten_answers(opened):
    for sample in opened("vqa"):
        assert len(sample.turns) >= 3
        assert all(len(turn.references) == 10 for turn in sample.turns)


def test_chats_with_and_without_pictures(root, monkeypatch):
    records = json.loads((root / "tiny_world/tiny_val/chat.json").read_text())
    assert all(record["conversations"][0]["from"] == "human" for record in records)
    assert any("image" in record for record in records)


def test_videos_hold_sixteen_frames(opened):
    from ullava.datasets.videos import read_frames

    (video,) = opened("video_captioning")[0].media
    assert read_frames(video, 16).shape == (16, 96, 96, 3)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".json", ".p"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_draws_the_same_world_by_any_number_of_workers(tmp_path):
    alone = draw_world(tmp_path / "a", "tiny_val", 6, videos=1, workers=1)
    together = draw_world(tmp_path / "b", "tiny_val", 6, videos=1, workers=2)
    assert digests(alone) == digests(together)


def test_splits_and_seeds_share_no_scene(tmp_path):
    found = []
    for split, seed in (("tiny_train", None), ("tiny_val", None), ("tiny_test", None), ("tiny_test", 1)):
        folder = draw_world(tmp_path / str(len(found)), split, 10, seed=seed, workers=1)
        found.append({np.asarray(Image.open(path)).tobytes() for path in (folder / "images").iterdir()})
    assert len(set.union(*found)) == 40


def test_a_world_that_lies_there_is_kept(root, monkeypatch):
    path = root / "tiny_world/tiny_val/captions.json"
    before = path.stat().st_mtime_ns
    draw_world(root / "tiny_world", "tiny_val", 40, videos=2, workers=1)
    assert path.stat().st_mtime_ns == before


def test_another_world_in_its_place_is_refused(root):
    with pytest.raises(FileExistsError, match="tiny_val.*'scenes': 40.*'scenes': 41"):
        draw_world(root / "tiny_world", "tiny_val", 41, videos=2)


def test_an_unknown_split_names_the_nearest():
    with pytest.raises(LookupError, match="did you mean 'tiny_train'"):
        draw_world(None, "tiny_trian", 1)


def test_what_came_later_changes_nothing_that_was_there(root):
    """What version 1 said of a scene and drew of another, before the LISA family had files of its own."""
    folder = root / "tiny_world/tiny_val"
    said = json.loads((folder / "captions.json").read_text())["annotations"][1]["caption"]
    assert said.startswith("a small plain blue circle, a small plain green triangle, a small plain green triangle,")
    asked = {q["question_id"]: q["question"] for q in json.loads((folder / "questions.json").read_text())["questions"]}
    assert asked[305] == "What color is the plain object?"
    pixels = np.asarray(Image.open(folder / "images/000039.png"))
    assert hashlib.sha256(pixels.tobytes()).hexdigest().startswith("02ecc23a9722b7fa")
