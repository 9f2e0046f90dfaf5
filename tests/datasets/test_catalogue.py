"""From a name to a reader: order of catalogues, paths, layouts, and what each mistake says."""

import numpy as np
import pytest

from ullava.configs.load import CONFIGS, read_yaml
from ullava.datasets import catalogue
from ullava.datasets.catalogue import open_dataset

CHAT = [{"id": "a", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path))
    monkeypatch.delenv("ULLAVA_CATALOGUE", raising=False)
    return tmp_path


def chat(write, name="chat.json"):
    write(name, CHAT)
    return {"reader": "llava_chat", "annotations": name}


def test_paths_count_from_the_data_root(write, data):
    reader = open_dataset("mine", "vqa", {"mine": chat(write)})
    assert reader.annotations == data / "chat.json"
    assert reader[0].id == "mine/a.0"


def test_paths_count_from_the_entrys_root(write, data, monkeypatch):
    monkeypatch.setenv("ELSEWHERE", str(data / "far"))
    entry = chat(write, "far/chat.json") | {"annotations": "chat.json"}
    assert len(open_dataset("mine", "vqa", {"mine": entry | {"root": "far"}})) == 1
    assert len(open_dataset("mine", "vqa", {"mine": entry | {"root": "$ELSEWHERE"}})) == 1
    with pytest.raises(LookupError, match="mine: root: .NOWHERE: the variable 'NOWHERE' is not set"):
        open_dataset("mine", "vqa", {"mine": entry | {"root": "$NOWHERE"}})


def test_the_runs_own_entries_come_before_the_users_catalogue(write, data, monkeypatch):
    chat(write), chat(write, "other.json")
    write("more.yaml", "mine: {reader: llava_chat, annotations: other.json}\n")
    monkeypatch.setenv("ULLAVA_CATALOGUE", str(data / "more.yaml"))
    assert open_dataset("mine", "vqa").annotations.name == "other.json"
    assert open_dataset("mine", "vqa", {"mine": chat(write)}).annotations.name == "chat.json"
    assert "mine" in catalogue.names()


def test_an_unknown_dataset_names_the_nearest(write):
    with pytest.raises(LookupError, match="no dataset 'mime'; did you mean 'mine'"):
        open_dataset("mime", "vqa", {"mine": chat(write)})


def test_an_unknown_reader_names_the_nearest():
    with pytest.raises(LookupError, match="no reader 'llava_chats'; did you mean 'llava_chat'"):
        open_dataset("mine", "vqa", {"mine": {"reader": "llava_chats"}})
    with pytest.raises(ValueError, match="mine: key 'reader' is missing"):
        open_dataset("mine", "vqa", {"mine": {"annotations": "x"}})


def test_an_option_that_the_reader_lacks_names_the_nearest(write):
    entry = chat(write) | {"imagez": "x"}
    with pytest.raises(ValueError, match="mine: reader llava_chat has no option 'imagez'; did you mean 'images'"):
        open_dataset("mine", "vqa", {"mine": entry})
    with pytest.raises(ValueError, match="mine: reader llava_chat needs the option 'annotations'"):
        open_dataset("mine", "vqa", {"mine": {"reader": "llava_chat"}})


def test_a_missing_path_says_which_key_and_where_to_get_it(data):
    entry = {"reader": "llava_chat", "annotations": "no.json", "url": "https://example.org/llava"}
    with pytest.raises(FileNotFoundError, match=r"mine: annotations: .*no.json: no such file .* https://example.org"):
        open_dataset("mine", "vqa", {"mine": entry})


def test_the_first_layout_that_exists_is_taken(write):
    entry = {"reader": "llava_chat", "layouts": [{"annotations": "v1.json"}, {"annotations": "chat.json"}]}
    chat(write)
    assert open_dataset("mine", "vqa", {"mine": entry}).annotations.name == "chat.json"
    write("v1.json", CHAT)
    assert open_dataset("mine", "vqa", {"mine": entry}).annotations.name == "v1.json"


def test_a_layout_may_name_another_reader(write):
    write("captions.csv", "image,caption\na.jpg,A dog.\n")
    other = {"reader": "flickr_captions", "annotations": "captions.csv", "images": "."}
    entry = {"reader": "llava_chat", "layouts": [{"annotations": "chat.json"}, other]}
    assert open_dataset("mine", None, {"mine": entry})[0].turns[0].answer == "A dog."
    chat(write)
    assert open_dataset("mine", None, {"mine": entry})[0].turns[0].answer == "Ho"


def test_one_name_serves_several_tasks(write):
    write("a.json", CHAT), write("b.json", CHAT)
    entry = {"reader": "llava_chat", "by_task": {"vqa": {"annotations": "a.json"}, "res": {"annotations": "b.json"}}}
    assert open_dataset("mine", "res", {"mine": entry}).annotations.name == "b.json"
    with pytest.raises(LookupError, match="mine: nothing for the task 'rec'; did you mean 'res'"):
        open_dataset("mine", "rec", {"mine": entry})


def test_options_beside_by_task_go_to_the_readers_that_know_them(write):
    write("a.json", CHAT)
    write("images/a.png", np.zeros((2, 2, 3), np.uint8))
    write("masks/a.png", np.zeros((2, 2), np.uint8))
    tasks = {"vqa": {"reader": "llava_chat", "annotations": "a.json"}, "salient": {"reader": "salient_pairs"}}
    entry = {"images": "images", "masks": "masks", "by_task": tasks}
    assert open_dataset("mine", "vqa", {"mine": entry}).images.name == "images"
    assert open_dataset("mine", "salient", {"mine": entry}).masks.name == "masks"
    with pytest.raises(ValueError, match="reader llava_chat has no option 'mask'"):
        open_dataset("mine", "vqa", {"mine": entry | {"mask": "masks"}})


def test_a_vocabulary_is_found_by_its_name(write):
    write("labels/a.png", np.zeros((2, 2), np.uint8))
    write("images/a.jpg", np.zeros((2, 2, 3), np.uint8))
    entry = {"reader": "label_map", "images": "images", "labels": "labels", "classes": "camvid.txt", "void": [11]}
    reader = open_dataset("mine", "semantic", {"mine": entry})
    assert reader.void == (11,)
    assert reader[0].regions[0].category == "sky"


def test_part_of_a_set_is_held_out(write):
    for name in "abcdef":
        write(f"images/{name}.png", np.zeros((2, 2, 3), np.uint8))
        write(f"masks/{name}.png", np.zeros((2, 2), np.uint8))
    entry = {"reader": "salient_pairs", "images": "images", "masks": "masks", "every": 3, "part": "held_out"}
    assert [sample.id for sample in open_dataset("mine", None, {"mine": entry})] == ["mine/c", "mine/f"]
    with pytest.raises(ValueError, match="mine: part: expected train or held_out, found 'test'"):
        open_dataset("mine", None, {"mine": entry | {"part": "test"}})
    assert [sample.id for sample in open_dataset("mine", None, {"mine": entry | {"first": 1}})] == ["mine/c"]
    with pytest.raises(ValueError, match="mine: first: expected 1 or more samples, found 0"):
        open_dataset("mine", None, {"mine": entry | {"first": 0}})


@pytest.mark.parametrize("path", sorted((CONFIGS / "datasets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_entry_fits_its_reader(path):
    for name, entry in read_yaml(path).items():
        for task in entry.get("by_task", {None: {}}):
            chosen = catalogue.choose(name, entry, task)
            assert catalogue.layouts(name, chosen)
            known = {"url", "licence", "size", "tree"}
            assert name.startswith("tiny_") or chosen.keys() >= known, f"{name}: where is it from, how does it lie?"


def test_no_name_stands_in_two_files():
    names = [name for path in (CONFIGS / "datasets").glob("*.yaml") for name in read_yaml(path)]
    assert sorted(names) == sorted(set(names))


RECIPES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "datasets")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_dataset_that_a_recipe_names_is_known_for_its_task(path):
    tree = read_yaml(path)
    own = tree.get("datasets", {})
    for row in (row for key in ("data", "evaluate") for row in tree.get(key, ())):
        entry = catalogue.find(row["dataset"], own)
        chosen = catalogue.choose(row["dataset"], entry, row["task"] if "by_task" in entry else None)
        assert catalogue.layouts(row["dataset"], chosen)
        for other in (*row.get("exclude", ()), *entry.get("exclude", ())):
            assert catalogue.find(other, own)


def test_every_named_set_of_the_seeds_has_an_entry():
    """The families of u-LLaVA, LISA, LaSagnA and KeySeg, with the splits that their papers report."""
    parts = {"": ["", "_val", "_testA", "_testB"], "+": ["", "_val", "_testA", "_testB"], "g": ["", "_val", "_test"]}
    named = [f"refcoco{kind}{part}" for kind, splits in parts.items() for part in splits]
    named += ["refcocog_google", "refclef", "refclef_testA", "grefcoco", "grefcoco_val", "grefcoco_testB"]
    named += ["ade20k", "ade20k_val", "cocostuff", "cocostuff_val", "mapillary", "mapillary_val", "mapillary_v1"]
    named += ["cityscapes", "cityscapes_val", "openimages", "pc59_val", "pc459_val", "voc2012", "voc2012_val"]
    named += ["paco_lvis", "pascal_part", "msra_10k", "msra_b", "duts_te", "dut_omron", "ecssd", "davis2016"]
    named += ["llava_cc3m", "llava_instruct", "llava_mix665k", "scienceqa", "tgif", "tgif_captions", "msrvtt"]
    named += ["coco_captions", "flickr8k", "flickr30k", "entities", "vqav2", "daquar", "pope_random", "refcocos"]
    known = set(catalogue.names())
    assert not [name for name in named if name not in known]
