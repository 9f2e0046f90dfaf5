"""Sets as their makers publish them, written by the embedded world: what is read back is what was drawn."""

import json
import pickle
from collections import defaultdict

import numpy as np
import pytest

import ullava.tasks  # noqa: F401, registers them
from ullava.configs.load import CONFIGS
from ullava.datasets import boxes
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.regions.pascal_part import by_object, category_of
from ullava.datasets.readers.regions.refer import belongs
from ullava.datasets.structures import Turn
from ullava.datasets.tiny_world import layouts, originals, questions
from ullava.tasks.base import TASKS

SCENES = 5
VOCABULARIES = CONFIGS.parent / "datasets" / "vocabularies"


def by_name(sample):
    return {region.category: region for region in sample.regions}


def test_masks_of_openimages_are_brought_to_their_pictures_size(scenes, data_root):
    originals.open_images(scenes, data_root)
    reader = open_dataset("openimages", "multi_target")
    for sample in reader:
        stem = sample.id.split("/")[1]
        drawn = {}
        for name, mask in originals.things(scenes, stem):
            drawn[name] = drawn.get(name, False) | mask
        assert by_name(sample).keys() == drawn.keys()
        assert {*drawn, *sample.absent} == set(reader.names)
        for name, mask in drawn.items():
            found = by_name(sample)[name].mask
            assert found.size == mask.shape == found.draw().shape
            # Every second pixel, doubled: the even rows and columns are exact.
            assert (found.draw()[::2, ::2] == mask[::2, ::2]).all()
    folder = data_root / "OpenImageV6/folder_train"
    first = reader[0].media[0].path
    assert first.parent.parent == folder
    for path in list(folder.glob("*/*.jpg")):
        path.rename(folder / path.name)
    for empty in [path for path in folder.iterdir() if path.is_dir()]:
        empty.rmdir()
    assert open_dataset("openimages", "multi_target")[0].media[0].path == folder / first.name


def test_parts_are_the_union_of_all_codes_of_one_name(scenes, data_root):
    originals.pascal_part(scenes, data_root)
    stems = [stem for stem in originals.stems(scenes) if originals.things(scenes, stem)]
    reader = open_dataset("pascal_part", "part")
    assert type(reader) is READERS["pascal_part"]
    for stem, sample in zip(stems, reader, strict=True):
        whole = np.logical_or.reduce([mask for _, mask in originals.things(scenes, stem)])
        head, legs = by_name(sample)["head of the dog"], by_name(sample)["leg of the dog"]
        assert head.phrases == ("head of the dog", "dog head") and head.mask.size == whole.shape
        assert ((head.mask.draw() | legs.mask.draw()) == whole).all()
        names = {
            promise.region.category
            for exam in TASKS.build("part", {}).eval_dialogues(sample)
            for promise in exam.promises
        }
        assert names == {"head of the dog", "leg of the dog"}


def test_both_forms_of_pascal_part_say_the_same(scenes, data_root):
    from ullava.preparing.__main__ import main

    originals.pascal_part(scenes, data_root)
    home = data_root / "vlpart/pascal_part"
    main(["pascal_part", str(home / "Annotations_Part"), "--output", str(home / "train.json")])
    as_json = open_dataset("pascal_part", "part")
    assert type(as_json) is READERS["coco_parts"]
    as_mat = READERS["pascal_part"]("mat", home / "Annotations_Part", as_json.images, VOCABULARIES / "pascal_part.txt")
    for a, b in zip(as_json, as_mat, strict=True):
        assert a.media == b.media and by_name(a).keys() == by_name(b).keys()
        for name, region in by_name(a).items():
            assert (region.mask.draw() == by_name(b)[name].mask.draw()).all()


@pytest.mark.parametrize(
    ("thing", "part", "category"),
    [
        ("cat", "lfpa", "cat:paw"), ("cow", "rfuleg", "cow:leg"), ("person", "llarm", "person:arm"),
        ("person", "lebrow", None), ("bus", "bliplate", "bus:license plate"), ("car", "wheel_12", "car:wheel"),
        ("aeroplane", "stern", None), ("train", "head", None), ("sofa", "back", None), ("horse", "lfho", None),
        ("motorbike", "headlight_1", "motorbike:headlight"), ("sheep", "rear", "sheep:ear"),
    ],
)  # fmt: skip
def test_parts_are_called_as_in_the_published_json(thing, part, category):
    assert category_of(thing, part, by_object(VOCABULARIES / "pascal_part.txt")) == category


def test_paco_asks_for_all_of_one_name_at_once(scenes, data_root):
    originals.paco(scenes, data_root)
    reader, parts = open_dataset("paco_lvis", "semantic"), open_dataset("paco_lvis", "part")
    tree = json.loads((scenes / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in tree["categories"]}
    for sample in reader:
        found = defaultdict(list)
        for thing in tree["annotations"]:
            if str(thing["image_id"]) == sample.id.split("/")[1]:
                found[names[thing["category_id"]]].append(thing)
        assert by_name(sample).keys() - {"handle top of the mug"} == found.keys()
        for name, things in found.items():
            frame = boxes.around([boxes.from_xywh(thing["bbox"]) for thing in things])
            assert boxes.box_of(by_name(sample)[name].mask.draw()) == frame
    handles = [region for sample in parts for region in sample.regions]
    assert {region.phrases for region in handles} == {("handle top of the mug", "mug handle top")}


def test_an_expression_may_mean_several_things_or_none(scenes, data_root):
    originals.grefcoco(scenes, data_root)
    shapes = (scenes / "classes.txt").read_text().split()
    several = 0
    for sample in open_dataset("grefcoco_val", "res"):
        drawn = originals.labels(scenes, sample.media[0].path.stem)
        (absent,) = sample.absent
        assert absent.startswith("every ") and not (drawn == shapes.index(absent[6:]) + 1).any()
        every = sample.regions[-1]
        pixels = drawn == shapes.index(every.category) + 1
        assert every.phrases == (f"every {every.category}",) and (every.mask.draw() == pixels).all()
        assert every.box == boxes.box_of(pixels)
        several += hasattr(every.mask, "masks")
        eval_dialogues = list(TASKS.build("res", {"says": ["SEG"]}).eval_dialogues(sample))
        assert [exam.turns[0].answer for exam in eval_dialogues if not exam.promises] == ["Sure. Mask: [NEG]."]
    assert several
    assert not any(sample.absent for sample in open_dataset("grefcoco_val", "rec"))


@pytest.mark.parametrize(("stated", "split", "belong"), [
    ("train", None, True), ("testA", "testA", True), ("testBC", "testC", True), ("testBC", "testA", False),
    ("testAB", "test", True), ("val", "test", False), ("test", "testA", False),
])  # fmt: skip
def test_refclef_may_be_in_several_test_parts(stated, split, belong):
    assert belongs(stated, split) is belong


def test_refclefs_masks_are_lists_of_run_lengths(write, data_root):
    runs = [{"size": [2, 3], "counts": [0, 2, 4]}, {"size": [2, 3], "counts": [4, 2]}]  # first column, and the last
    image = {"id": 5, "file_name": "00/images/5.jpg", "height": 2, "width": 3}
    thing = {"id": 7, "image_id": 5, "category_id": 1, "bbox": [0, 0, 3, 2], "segmentation": runs}
    names = [{"id": 1, "name": "sky"}]
    folder = data_root / "refer_seg/refclef"
    folder.mkdir(parents=True)
    (data_root / "refer_seg/images/saiapr_tc-12").mkdir(parents=True)
    ref = {"ref_id": 1, "ann_id": 7, "image_id": 5, "split": "testAB", "sentences": [{"sent": "the edges"}]}
    (folder / "refs(unc).p").write_bytes(pickle.dumps([ref], protocol=2))
    (folder / "instances.json").write_text(json.dumps({"images": [image], "annotations": [thing], "categories": names}))
    (sample,) = open_dataset("refclef_testB", "res")
    assert sample.regions[0].mask.draw().tolist() == [[True, False, True]] * 2
    with pytest.raises(ValueError, match="no records"):
        len(open_dataset("refclef_val", "res"))


def test_odvg_holds_objects_and_phrases(scenes, data_root):
    originals.odvg(scenes, data_root / "odvg.jsonl")
    entry = {"reader": "odvg", "annotations": "odvg.jsonl", "images": str(scenes / "images")}
    said, once = (open_dataset("toy", "rec", {"toy": entry | more}) for more in ({}, {"unique_categories": True}))
    stated = defaultdict(list)
    for thing in layouts.objects(scenes):
        stated[thing["file"]].append(thing)
    for sample, unique in zip(said, once, strict=True):
        things = stated[sample.media[0].path.name]
        categories = [thing["category"] for thing in things]
        phrases = {phrase: region.box for region in sample.regions for phrase in region.phrases}
        assert phrases == {said: boxes.from_xywh(thing["bbox"]) for thing in things for said in thing["sentences"]}
        assert [region.category for region in sample.regions if not region.phrases] == categories
        named = [region.phrases for region in unique.regions if region.category]
        assert named == [(name,) for name in categories if categories.count(name) == 1]


def test_odvgs_labels_may_be_numbers_and_a_phrase_may_have_several_boxes(write, tmp_path):
    region = {"bbox": [1, 1, 3, 3], "phrase": ["two cups", "cups"]}
    grounding = {"caption": "two cups", "regions": [region, region | {"bbox": [5, 0, 6, 2]}]}
    record = {"filename": "a/b.jpg", "height": 4, "width": 8, "grounding": grounding}
    record["detection"] = {"instances": [{"bbox": [0, 0, 2, 2], "label": 3}]}
    path, names = write("o.jsonl", [record]), write("names.json", {"3": "cup"})
    (sample,) = READERS["odvg"]("toy", path, tmp_path, names)
    assert (sample.id, sample.media[0].size) == ("toy/a/b.0", (4, 8))
    assert [(r.phrases, r.category, r.box) for r in sample.regions] == [
        (("two cups", "cups"), None, (1, 0, 6, 3)), ((), "cup", (0, 0, 2, 2)),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="o.jsonl:1: label 3 has no name"):
        len(READERS["odvg"]("toy", path, tmp_path))


def test_tgif_reads_its_own_table(scenes, data_root):
    layouts.gifs(scenes, data_root / "TGIF/GIFs", data_root / "TGIF/tgif_llava.json")
    originals.tgif(data_root)
    (data_root / "TGIF/splits").mkdir()
    (data_root / "TGIF/splits/test.txt").write_text("https://38.media.tumblr.com/x/a.gif\nhttps://x.org/other.gif\n")
    (sample,) = open_dataset("tgif_test", "video_captioning")
    said = ("things come and go", "shapes are shown in turn")
    assert (sample.id, sample.turns) == ("tgif_test/a", (Turn("", said[0], said),))
    assert sample.media[0].path == data_root / "TGIF/GIFs/a.gif"


def test_entities_are_read_as_published(scenes, data_root):
    originals.entities(scenes, data_root)
    stated = {(t["file"].split(".")[0], t["sentences"][0]): tuple(t["bbox"]) for t in layouts.objects(scenes)}
    read = {
        (sample.media[0].path.stem, phrase): boxes.to_xywh(region.box)
        for sample in open_dataset("entities_test", "rec")
        for region in sample.regions
        for phrase in region.phrases
    }
    assert read == stated


def test_questions_of_every_format_are_those_of_the_world(scenes, data_root):
    """Answers by picture; DAQUAR's questions lose their mark, POPE asks what yes or no answers."""
    stated = defaultdict(list)
    for stem, question, answer in questions.asked(scenes):
        stated[int(stem)].append((question.rstrip("?. "), answer))
    formats = {"gqa_testdev": questions.gqa, "textvqa_val": questions.text_vqa, "pope_random": questions.pope,
               "daquar": questions.daquar}  # fmt: skip
    for name, write in formats.items():
        write(scenes, data_root)
        for sample in open_dataset(name, "vqa"):
            stem = sample.media[0].path.stem
            number = int(stem.removeprefix("image")) - (name == "daquar")
            told = [(turn.question.rstrip("?. "), turn.answer) for turn in sample.turns]
            kept = [one for one in stated[number] if name != "pope_random" or one[1] in ("yes", "no")]
            assert sorted(told) == sorted(kept), sample.id
    questions.scienceqa(scenes, data_root)
    samples = list(open_dataset("scienceqa", "vqa"))
    assert [bool(sample.media) for sample in samples] == [number % 2 == 0 for number in range(len(samples))]
    assert [sample.turns[0].answer for sample in samples] == [answer for _, _, answer in questions.asked(scenes)]
    questions.flickr(scenes, data_root)
    notes = json.loads((scenes / "captions.json").read_text())["annotations"]
    captions = {note["image_id"]: note["caption"] for note in notes}
    read = {int(s.media[0].path.stem): s.turns[0].answer for s in open_dataset("flickr8k_test", "captioning")}
    assert read == captions


def test_one_folder_may_hold_pictures_and_masks(write, data_root):
    for name in ("1", "2"):
        write(f"data/MSRA10K_Imgs_GT/Imgs/{name}.jpg", np.zeros((2, 2, 3), np.uint8))
        write(f"data/MSRA10K_Imgs_GT/Imgs/{name}.png", np.full((2, 2), 255, np.uint8))
    samples = list(open_dataset("msra_10k", "salient"))
    assert [sample.id for sample in samples] == ["msra_10k/1", "msra_10k/2"]
    assert samples[0].media[0].path.suffix == ".jpg" and samples[0].regions[0].mask.draw().all()
