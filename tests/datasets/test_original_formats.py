"""Sets as their makers publish them, written by the embedded world: what is read back is what was drawn."""

import json
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ullava.tasks  # noqa: F401, registers them
from ullava.configs.load import CONFIGS
from ullava.datasets import boxes
from ullava.datasets import tiny_world_layouts as layouts
from ullava.datasets import tiny_world_originals as originals
from ullava.datasets import tiny_world_questions as questions
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.mat_files import read_mat
from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.pascal_part import by_object, category_of
from ullava.datasets.readers.refer import belongs
from ullava.datasets.structures import Turn
from ullava.datasets.tiny_world import draw_world
from ullava.tasks.base import TASKS

SCENES = 5
VOCABULARIES = CONFIGS.parent / "datasets" / "vocabularies"


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return draw_world(tmp_path_factory.mktemp("drawn"), "tiny_train", SCENES, workers=1)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """An empty data root."""
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def by_name(sample):
    return {region.category: region for region in sample.regions}


def lines(name: str) -> list[str]:
    return (VOCABULARIES / name).read_text().splitlines()


# dataset, what writes it, the classes that the world's values 1 to 6 become, and how many there are
CITY = ["road", "sidewalk", None, None, "building", "wall"]  # label ids 7 to 12; the benchmark counts no 9 and 10
STREET = ["bird", "ground animal", "ambiguous barrier", "concrete block", "curb", "fence"]
LABELS = [
    ("cityscapes_val", originals.cityscapes, CITY, 19),
    ("cityscapes_train_ids_val", originals.cityscapes, ["road", "sidewalk", "building", "wall", "fence", "pole"], 19),
    ("mapillary", originals.mapillary, STREET, 123),
    ("mapillary_v1", originals.mapillary, ["bird", "ground animal", "curb", "fence", "guard rail", "barrier"], 65),
    ("pc459_val", originals.pascal_context,
     ["accordion", "aeroplane", "air conditioner", "antenna", "artillery", "ashtray"], 459),
]  # fmt: skip


@pytest.mark.parametrize(("name", "write", "classes", "count"), LABELS, ids=[name for name, *_ in LABELS])
def test_every_pixel_has_the_class_it_was_drawn_with(world, data, name, write, classes, count):
    write(world, data)
    reader = open_dataset(name, "semantic")
    assert (len(reader), len(reader.names), len(set(reader.names.values()))) == (SCENES, count, count)
    for stem, sample in zip(originals.stems(world), reader, strict=True):
        drawn = originals.labels(world, stem)
        assert len(sample.regions) + len(sample.absent) == count
        counted = np.zeros_like(drawn, bool)
        for value, category in enumerate(classes, 1):
            if category and (drawn == value).any():
                assert (by_name(sample)[category].mask.draw() == (drawn == value)).all()
                counted |= drawn == value
        if name == "pc459_val":
            assert (by_name(sample)["unknown"].mask.draw() == (drawn == 0)).all() and sample.ignored is None
        else:
            assert (sample.ignored.draw() == ~counted).all()


def test_train_ids_are_the_same_pixels_as_label_ids(world, data):
    originals.cityscapes(world, data)
    readers = [open_dataset(f"cityscapes{kind}_val", "semantic") for kind in ("", "_train_ids")]
    for label, train in zip(*readers, strict=True):
        both = {"road", "sidewalk"} & by_name(label).keys()
        assert both == {"road", "sidewalk"} & by_name(train).keys()
        for name in both:
            assert (by_name(label)[name].mask.draw() == by_name(train)[name].mask.draw()).all()
    assert label.id.startswith("cityscapes_val/aachen/aachen_0")
    assert "-" not in open_dataset("cityscapes_val", "semantic")[0].absent


def test_of_59_classes_the_other_400_count_nowhere(world, data):
    originals.pascal_context(world, data)
    reader = open_dataset("pc59_val", "semantic")
    assert sorted(reader.names.values()) == sorted(lines("pascal_context_59.txt"))
    for stem, sample in zip(originals.stems(world), reader, strict=True):
        drawn = originals.labels(world, stem)  # of the first six of 459 names, the second alone is one of the 59
        assert list(by_name(sample)) == (["aeroplane"] if (drawn == 2).any() else [])
        assert (sample.ignored.draw() == (drawn != 2)).all()


def test_a_class_that_no_list_knows_is_named(data, write, tmp_path):
    write("names.txt", "sky\nroad\n")
    reader = READERS["label_map"]("toy", tmp_path, tmp_path, tmp_path / "names.txt", only=write("only.txt", "skye\n"))
    with pytest.raises(ValueError, match="only.txt: no class 'skye' in .*names.txt; did you mean 'sky'"):
        reader.names  # noqa: B018, it is the property that raises


HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


@pytest.mark.parametrize("content", [b"", b"<html>", HEAD, HEAD + b"\xff" * 90])
def test_a_broken_matlab_file_is_named(tmp_path, content):
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="x.mat: (expected a MATLAB file|the MATLAB file has no variable)"):
        read_mat(path, "LabelMap")


def test_stuff_has_171_names_and_each_is_told_apart():
    """LaSagnA's shortened names stand twice among 182 ids; the first one of each two is an id that no pixel has."""
    whole, used = lines("cocostuff.txt"), lines("cocostuff_171.txt")
    assert len(whole) == len(used) == 182 == len(set(whole))
    named = [name for name in used if name != "-"]
    assert len(named) == len(set(named)) == 171
    assert [a for a, b in zip(whole, used, strict=True) if b == "-"] == [
        "street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door", "blender",
        "hair brush",
    ]  # fmt: skip
    short = {"mirror-stuff": "mirror", "door-stuff": "door", "window-other": "window", "desk-stuff": "desk"}
    assert all(used[whole.index(name)] == said for name, said in short.items())
    assert used[whole.index("wall-brick")] == "wall-brick" and used[91] == "banner", "its 92nd id, value 91"


def test_masks_of_openimages_are_brought_to_their_pictures_size(world, data):
    originals.open_images(world, data)
    reader = open_dataset("openimages", "multi_target")
    for sample in reader:
        stem = sample.id.split("/")[1]
        drawn = {}
        for name, mask in originals.things(world, stem):
            drawn[name] = drawn.get(name, False) | mask
        assert by_name(sample).keys() == drawn.keys()
        assert {*drawn, *sample.absent} == set(reader.names)
        for name, mask in drawn.items():
            found = by_name(sample)[name].mask
            assert found.size == mask.shape == found.draw().shape
            # Every second pixel, doubled: the even rows and columns are exact.
            assert (found.draw()[::2, ::2] == mask[::2, ::2]).all()
    folder = data / "OpenImageV6/folder_train"
    first = reader[0].media[0].path
    assert first.parent.parent == folder
    for path in list(folder.glob("*/*.jpg")):
        path.rename(folder / path.name)
    for empty in [path for path in folder.iterdir() if path.is_dir()]:
        empty.rmdir()
    assert open_dataset("openimages", "multi_target")[0].media[0].path == folder / first.name


def test_parts_are_the_union_of_all_codes_of_one_name(world, data):
    originals.pascal_part(world, data)
    stems = [stem for stem in originals.stems(world) if originals.things(world, stem)]
    reader = open_dataset("pascal_part", "part")
    assert type(reader) is READERS["pascal_part"]
    for stem, sample in zip(stems, reader, strict=True):
        whole = np.logical_or.reduce([mask for _, mask in originals.things(world, stem)])
        head, legs = by_name(sample)["head of the dog"], by_name(sample)["leg of the dog"]
        assert head.phrases == ("head of the dog", "dog head") and head.mask.size == whole.shape
        assert ((head.mask.draw() | legs.mask.draw()) == whole).all()
        names = {promise.region.category for exam in TASKS.build("part", {}).exams(sample) for promise in exam.promises}
        assert names == {"head of the dog", "leg of the dog"}


def test_both_forms_of_pascal_part_say_the_same(world, data):
    from ullava.preparing.__main__ import main

    originals.pascal_part(world, data)
    home = data / "vlpart/pascal_part"
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


def test_paco_asks_for_all_of_one_name_at_once(world, data):
    originals.paco(world, data)
    reader, parts = open_dataset("paco_lvis", "semantic"), open_dataset("paco_lvis", "part")
    tree = json.loads((world / "instances.json").read_text())
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


def test_an_expression_may_mean_several_things_or_none(world, data):
    originals.grefcoco(world, data)
    shapes = (world / "classes.txt").read_text().split()
    several = 0
    for sample in open_dataset("grefcoco_val", "res"):
        drawn = originals.labels(world, sample.media[0].path.stem)
        (absent,) = sample.absent
        assert absent.startswith("every ") and not (drawn == shapes.index(absent[6:]) + 1).any()
        every = sample.regions[-1]
        pixels = drawn == shapes.index(every.category) + 1
        assert every.phrases == (f"every {every.category}",) and (every.mask.draw() == pixels).all()
        assert every.box == boxes.box_of(pixels)
        several += hasattr(every.mask, "masks")
        exams = list(TASKS.build("res", {"says": ["SEG"]}).exams(sample))
        assert [exam.turns[0].answer for exam in exams if not exam.promises] == ["Sure. Mask: [NEG]."]
    assert several
    assert not any(sample.absent for sample in open_dataset("grefcoco_val", "rec"))


@pytest.mark.parametrize(("stated", "split", "belong"), [
    ("train", None, True), ("testA", "testA", True), ("testBC", "testC", True), ("testBC", "testA", False),
    ("testAB", "test", True), ("val", "test", False), ("test", "testA", False),
])  # fmt: skip
def test_refclef_may_be_in_several_test_parts(stated, split, belong):
    assert belongs(stated, split) is belong


def test_refclefs_masks_are_lists_of_run_lengths(write, data):
    runs = [{"size": [2, 3], "counts": [0, 2, 4]}, {"size": [2, 3], "counts": [4, 2]}]  # first column, and the last
    image = {"id": 5, "file_name": "00/images/5.jpg", "height": 2, "width": 3}
    thing = {"id": 7, "image_id": 5, "category_id": 1, "bbox": [0, 0, 3, 2], "segmentation": runs}
    names = [{"id": 1, "name": "sky"}]
    folder = data / "refer_seg/refclef"
    folder.mkdir(parents=True)
    (data / "refer_seg/images/saiapr_tc-12").mkdir(parents=True)
    ref = {"ref_id": 1, "ann_id": 7, "image_id": 5, "split": "testAB", "sentences": [{"sent": "the edges"}]}
    (folder / "refs(unc).p").write_bytes(pickle.dumps([ref], protocol=2))
    (folder / "instances.json").write_text(json.dumps({"images": [image], "annotations": [thing], "categories": names}))
    (sample,) = open_dataset("refclef_testB", "res")
    assert sample.regions[0].mask.draw().tolist() == [[True, False, True]] * 2
    with pytest.raises(ValueError, match="no records"):
        len(open_dataset("refclef_val", "res"))


def test_odvg_holds_objects_and_phrases(world, data):
    originals.odvg(world, data / "odvg.jsonl")
    entry = {"reader": "odvg", "annotations": "odvg.jsonl", "images": str(world / "images")}
    said, once = (open_dataset("toy", "rec", {"toy": entry | more}) for more in ({}, {"unique_categories": True}))
    stated = defaultdict(list)
    for thing in layouts.objects(world):
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


def test_tgif_reads_its_own_table(world, data):
    layouts.gifs(world, data / "TGIF/GIFs", data / "TGIF/tgif_llava.json")
    originals.tgif(data)
    (data / "TGIF/splits").mkdir()
    (data / "TGIF/splits/test.txt").write_text("https://38.media.tumblr.com/x/a.gif\nhttps://x.org/other.gif\n")
    (sample,) = open_dataset("tgif_test", "video_captioning")
    said = ("things come and go", "shapes are shown in turn")
    assert (sample.id, sample.turns) == ("tgif_test/a", (Turn("", said[0], said),))
    assert sample.media[0].path == data / "TGIF/GIFs/a.gif"


def test_entities_are_read_as_published(world, data):
    originals.entities(world, data)
    stated = {(t["file"].split(".")[0], t["sentences"][0]): tuple(t["bbox"]) for t in layouts.objects(world)}
    read = {
        (sample.media[0].path.stem, phrase): boxes.to_xywh(region.box)
        for sample in open_dataset("entities_test", "rec")
        for region in sample.regions
        for phrase in region.phrases
    }
    assert read == stated


def test_questions_of_every_format_are_those_of_the_world(world, data):
    """Answers by picture; DAQUAR's questions lose their mark, POPE asks what yes or no answers."""
    stated = defaultdict(list)
    for stem, question, answer in questions.asked(world):
        stated[int(stem)].append((question.rstrip("?. "), answer))
    formats = {"gqa_testdev": questions.gqa, "textvqa_val": questions.text_vqa, "pope_random": questions.pope,
               "daquar": questions.daquar}  # fmt: skip
    for name, write in formats.items():
        write(world, data)
        for sample in open_dataset(name, "vqa"):
            stem = sample.media[0].path.stem
            number = int(stem.removeprefix("image")) - (name == "daquar")
            told = [(turn.question.rstrip("?. "), turn.answer) for turn in sample.turns]
            kept = [one for one in stated[number] if name != "pope_random" or one[1] in ("yes", "no")]
            assert sorted(told) == sorted(kept), sample.id
    questions.scienceqa(world, data)
    samples = list(open_dataset("scienceqa", "vqa"))
    assert [bool(sample.media) for sample in samples] == [number % 2 == 0 for number in range(len(samples))]
    assert [sample.turns[0].answer for sample in samples] == [answer for _, _, answer in questions.asked(world)]
    questions.flickr(world, data)
    notes = json.loads((world / "captions.json").read_text())["annotations"]
    captions = {note["image_id"]: note["caption"] for note in notes}
    read = {int(s.media[0].path.stem): s.turns[0].answer for s in open_dataset("flickr8k_test", "captioning")}
    assert read == captions


def test_one_folder_may_hold_pictures_and_masks(write, data):
    for name in ("1", "2"):
        write(f"data/MSRA10K_Imgs_GT/Imgs/{name}.jpg", np.zeros((2, 2, 3), np.uint8))
        write(f"data/MSRA10K_Imgs_GT/Imgs/{name}.png", np.full((2, 2), 255, np.uint8))
    samples = list(open_dataset("msra_10k", "salient"))
    assert [sample.id for sample in samples] == ["msra_10k/1", "msra_10k/2"]
    assert samples[0].media[0].path.suffix == ".jpg" and samples[0].regions[0].mask.draw().all()


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "tif"])
def test_a_label_map_may_be_grey_a_palette_or_sixteen_bits(write, tmp_path, mode):
    values = np.array([[1, 2], [0, 2]], np.uint16 if mode in ("I;16", "tif") else np.uint8)
    if mode == "tif":
        values = np.array([[1, 458], [65535, 458]], np.uint16)
    write("i/a.jpg", np.zeros((2, 2, 3), np.uint8))
    image = Image.fromarray(values)
    if mode == "P":
        image = Image.fromarray(values, "P")
        image.putpalette(list(range(256)) * 3)
    (tmp_path / "l").mkdir()
    image.save(tmp_path / ("l/a.tif" if mode == "tif" else "l/a.png"))
    void = (65535,) if mode == "tif" else ()
    classes = VOCABULARIES / "pascal_context_459.txt"
    (sample,) = READERS["label_map"]("toy", tmp_path / "i", tmp_path / "l", classes, void=void)
    last = "wool" if mode == "tif" else "air conditioner"
    assert (by_name(sample)[last].mask.draw() == [[False, True], [False, True]]).all()
