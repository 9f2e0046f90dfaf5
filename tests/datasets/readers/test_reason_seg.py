"""ReasonSeg, in folders written by hand as it is published, and as the embedded world writes it."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.catalogue import open_dataset
from ullava.datasets.formats.labelme import read_shapes
from ullava.datasets.readers.regions.reason_seg import ReasonSeg
from ullava.datasets.tiny_world.world import draw_world

BOX = [[1, 1], [4, 1], [4, 3], [1, 3]]  # with its outline 4 x 3 pixels


@pytest.fixture
def published(tmp_path, write):
    """Writes records of a split, each {name: annotation}, with their pictures of 6 x 8; returns the sets' folder."""

    def to(split: str = "train", **annotations):
        for name, annotation in annotations.items():
            write(f"{split}/{name}.jpg", np.zeros((6, 8, 3), np.uint8))
            write(f"{split}/{name}.json", annotation)
        return tmp_path

    return to


def asks(*texts, sentence=True, shapes=()):
    return {"text": list(texts), "is_sentence": sentence, "shapes": [{"label": n, "points": p} for n, p in shapes]}


def test_a_record_is_one_region_asked_for_by_all_its_texts(published):
    folder = published(a=asks("Where can one sit?", "On what?", shapes=[("target", BOX)]))
    (sample,) = ReasonSeg("rs", folder, "train")
    (region,) = sample.regions
    assert sample.id == "rs/train/a" and sample.media[0].size == (6, 8) and sample.ignored is None
    assert region.phrases == ("Where can one sit?", "On what?") and region.sentences
    assert np.argwhere(region.mask.draw()).tolist() == [[y, x] for y in (1, 2, 3) for x in (1, 2, 3, 4)]
    assert region.reason is None and region.keyword is None


def test_the_smaller_shape_wins_whatever_the_order(published):
    """LISA paints from the largest to the smallest: a pixel that is unclear within the target counts nowhere."""
    dot = [[2, 2]]
    for shapes in ([("target", BOX), ("ignore", dot)], [("ignore", dot), ("target", BOX)]):
        (sample,) = ReasonSeg("rs", published(a=asks("it", shapes=shapes)), "train")
        assert np.argwhere(sample.ignored.draw()).tolist() == [[2, 2]]
        assert not sample.regions[0].mask.draw()[2, 2] and sample.regions[0].mask.draw().sum() == 11
    (sample,) = ReasonSeg("rs", published(a=asks("it", shapes=[("ignore2", BOX), ("target", dot)])), "train")
    assert np.argwhere(sample.regions[0].mask.draw()).tolist() == [[2, 2]] and sample.ignored.draw().sum() == 11


def test_flags_mean_nothing_and_no_polygon_is_an_empty_target(published):
    (sample,) = ReasonSeg("rs", published(a=asks("it", shapes=[("flag", BOX)])), "train")
    assert sample.regions[0].mask.draw().shape == (6, 8) and not sample.regions[0].mask.draw().any()


def test_splits_are_joined_and_copies_passed_over(published):
    published(a=asks("it"), a_new=asks("it"), b=asks("it"))
    reader = ReasonSeg("rs", published("val", c=asks("it")), "train_val")
    assert [sample.id for sample in reader] == ["rs/train/a", "rs/train/b", "rs/val/c"]


def test_only_short_or_long_ones(published):
    folder = published(a=asks("it", sentence=False), b=asks("What is it?"))
    assert [s.id for s in ReasonSeg("rs", folder, "train", only="short")] == ["rs/train/a"]
    assert [s.id for s in ReasonSeg("rs", folder, "train", only="long")] == ["rs/train/b"]
    with pytest.raises(ValueError, match="rs: only: expected short or long, found 'middle'"):
        ReasonSeg("rs", folder, "train", only="middle")


def test_explanations_are_found_by_their_picture(published, write):
    folder = published(a=asks("it"), b=asks("it"), c=asks("it"))
    told = [{"image": "a.jpg", "json": "a.json", "query": "it", "outputs": "A spoon.", "keyword": "spoon"},
            {"image": "b.jpg", "query": "it", "outputs": "A fork.", "keyword": "(not found) fork?"}]  # fmt: skip
    reader = ReasonSeg("rs", folder, "train", explanations=write("explanatory/train.json", told))
    assert [(s.regions[0].reason, s.regions[0].keyword) for s in reader] == [
        ("A spoon.", "spoon"), ("A fork.", None), (None, None),
    ]  # fmt: skip
    broken = write("explanatory/val.json", [{"image": "a.jpg"}])
    with pytest.raises(ValueError, match="val.json: record 0: expected the texts `image` and `outputs`"):
        ReasonSeg("rs", folder, "train", explanations=broken)[0]


def test_windows_letters_are_read(published, tmp_path):
    folder = published(a=asks("x"))
    (folder / "train/a.json").write_bytes(json.dumps(asks("the dog’s ear"), ensure_ascii=False).encode("cp1252"))
    assert ReasonSeg("rs", folder, "train")[0].regions[0].phrases == ("the dog’s ear",)


def test_faults_say_where(published, write):
    with pytest.raises(FileNotFoundError, match="rs: .*val: no such folder"):
        len(ReasonSeg("rs", published(a=asks("it")), "val"))
    with pytest.raises(ValueError, match=r"a.json: expected `text`.* found \(\)"):
        ReasonSeg("rs", published(a=asks()), "train")[0]
    with pytest.raises(ValueError, match=r"a.json: a shape: expected pixels of a picture \(6, 8\)"):
        ReasonSeg("rs", published(a=asks("it", shapes=[("target", [[0, 0], [10**9, 0], [0, 9]])])), "train")[0]
    write("lone/d.json", asks("it"))
    with pytest.raises(FileNotFoundError, match="1 of 1 pictures are missing, e.g. d"):
        len(ReasonSeg("rs", published(a=asks("it")), "lone"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    return root, draw_world(root / "tiny_world", "tiny_val", 60, workers=1)


@pytest.fixture
def opened(world, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(world[0]))
    return lambda task: open_dataset("tiny_val", task)


def test_the_worlds_polygons_cover_the_very_things(opened, world):
    """A painted target and its unclear pixels are together the thing that some instance's mask is."""
    maps = {sample.media[0].path.name: sample for sample in opened("semantic")}
    for sample in opened("reasoning"):
        (region,) = sample.regions
        (named,) = [r for r in maps[sample.media[0].path.name].regions if r.category == region.keyword]
        painted, unclear = region.mask.draw(), sample.ignored.draw() if sample.ignored else False
        assert painted.any() and not (painted & ~named.mask.draw()).any()
        assert sample.ignored is None or (unclear & named.mask.draw()).any()


def test_the_world_asks_phrases_and_sentences_and_explains_by_name(opened):
    samples = list(opened("reasoning"))
    regions = [sample.regions[0] for sample in samples]
    assert len(samples) == 60 and {region.sentences for region in regions} == {True, False}
    assert all(region.keyword in region.reason.split() for region in regions)
    assert any(sample.ignored for sample in samples) and any(sample.ignored is None for sample in samples)
    assert {len(region.phrases) for region in regions} >= {1, 2}
    assert all(text.endswith("?") == region.sentences for region in regions for text in region.phrases)
    phrases = [text for region in regions if not region.sentences for text in region.phrases]
    assert all(text.startswith("the ") for text in phrases)  # a noun at the beginning would be spelt otherwise


def test_the_worlds_annotations_say_their_size_themselves(world):
    path = world[1] / "reason_seg/000000.json"
    assert read_shapes(path).size == Image.open(world[1] / "images/000000.png").size[::-1]


@pytest.mark.shared
def test_the_published_explanations_are_read(published, realdata):
    """KeySeg's list, LISA's explanations of all 239 training pictures with a keyword each."""
    lists = sorted((realdata / "reasonseg_explanatory_annotations_only").glob("*.json"))
    for path in lists:
        first = json.loads(path.read_text())[0]
        folder = published(**{first["image"].removesuffix(".jpg"): asks(first["query"])})
        reader = ReasonSeg("rs", folder, "train", explanations=path)
        (region,) = reader[0].regions
        assert len(reader.explained) == 239 and region.reason == first["outputs"]
        assert region.keyword in region.reason
    assert lists
