"""Every reader on files made by hand: what a sample states, and what a bad file says."""

import pickle

import numpy as np
import pytest

from ullava.datasets import boxes, images
from ullava.datasets.formats.mask_pictures import Foreground, LabelPixels
from ullava.datasets.masks import Polygons, RunLengths
from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.files import inside
from ullava.datasets.structures import Picture, Turn, Video

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]
IMAGES = [
    {"id": 7, "file_name": "b.jpg", "height": 4, "width": 6},
    {"id": 9, "file_name": "a.jpg", "height": 5, "width": 5},
    {"id": 8, "file_name": "c.jpg", "height": 4, "width": 6},
]
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def thing(identity, image, category, **more):
    box = {"bbox": [1, 1, 2, 2], "segmentation": SQUARE, "iscrowd": 0}
    return {"id": identity, "image_id": image, "category_id": category} | box | more


INSTANCES = {
    "images": IMAGES,
    "categories": CATEGORIES,
    "annotations": [
        thing(1, 7, 1),
        thing(2, 7, 2),
        thing(3, 7, 2, iscrowd=1, segmentation={"size": [4, 6], "counts": [24]}),
        thing(4, 9, 2, segmentation={"size": [5, 5], "counts": [0, 25]}, bbox=[0, 0, 5, 5]),
        thing(5, 8, 1, iscrowd=1),
    ],
}


def test_coco_captions_are_one_turn_per_picture_in_the_order_of_names(write, tmp_path):
    notes = [{"image_id": 7, "caption": " a cat\n"}, {"image_id": 9, "caption": "x"}, {"image_id": 7, "caption": "two"}]
    path = write("c.json", {"images": IMAGES, "annotations": notes})
    first, second = READERS["coco_captions"]("toy", path, tmp_path)
    assert (first.id, second.id) == ("toy/9", "toy/7")
    assert second.media == (Picture(tmp_path / "b.jpg", (4, 6)),)
    assert second.turns == (Turn("", "a cat", ("a cat", "two")),)


def test_coco_instances_have_boxes_and_masks_of_either_form(write, tmp_path):
    reader = READERS["coco_instances"]("toy", write("i.json", INSTANCES), tmp_path)
    assert [sample.id for sample in reader] == ["toy/9", "toy/7"], "a picture of crowds only is left out"
    (whole,), (cat, dog) = (sample.regions for sample in reader)
    assert whole.mask == RunLengths((5, 5), (0, 25))
    assert (cat.category, cat.phrases, cat.box) == ("cat", (), (1, 1, 3, 3))
    assert cat.mask == Polygons((4, 6), ((1, 1, 3, 1, 3, 3, 1, 3),))
    assert boxes.box_of(dog.mask.draw()) == dog.box


def test_a_category_that_is_there_once_is_said_by_its_name(write, tmp_path):
    reader = READERS["coco_instances"]("toy", write("i.json", INSTANCES), tmp_path, unique_categories=True)
    assert [[region.phrases for region in sample.regions] for sample in reader] == [[("dog",)], [("cat",)]]
    # The second dog of picture 7 is a crowd: "dog" would mean more than the first one.


def test_objects_that_cover_too_little_of_their_picture_are_left_out(write, tmp_path):
    measured = [{**thing, "area": thing["bbox"][2] * thing["bbox"][3]} for thing in INSTANCES["annotations"]]
    path = write("i.json", INSTANCES | {"annotations": measured})
    reader = READERS["coco_instances"]("toy", path, tmp_path, smallest=0.5)
    assert [sample.id for sample in reader] == ["toy/9"]  # all 25 of 25 pixels; the cat has 4 of 24


REFS = [
    {"ref_id": 0, "ann_id": 1, "image_id": 7, "split": "val", "sentences": [{"sent": "the cat"}, {"sent": "left"}]},
    {"ref_id": 1, "ann_id": 2, "image_id": 7, "split": "val", "sentences": [{"sent": "a dog"}]},
    {"ref_id": 2, "ann_id": 4, "image_id": 9, "split": "testA", "sentences": [{"sent": "dog"}]},
]


@pytest.fixture
def refer(write, tmp_path):
    def build(refs=REFS, split=None, protocol=2):
        path = tmp_path / "refs(unc).p"
        path.write_bytes(refs if isinstance(refs, bytes) else pickle.dumps(refs, protocol=protocol))
        return READERS["refer"]("toy", path, write("instances.json", INSTANCES), tmp_path, split)

    return build


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_references_are_regions_of_their_picture(refer, protocol):
    (sample,) = refer(split="val", protocol=protocol)
    assert sample.id == "toy/7"
    assert [region.phrases for region in sample.regions] == [("the cat", "left"), ("a dog",)]
    assert [region.category for region in sample.regions] == ["cat", "dog"]
    assert [sample.id for sample in refer()] == ["toy/9", "toy/7"]


def test_a_pickle_of_python_two_is_read(refer):
    # protocol 2 of {"split": "val", ...} as Python 2 wrote str: the opcode U, bytes without an encoding.
    old = pickle.dumps(REFS[:1], protocol=2).replace(b"X\x07\x00\x00\x00the cat", b"U\x07the cat")
    assert b"U\x07the cat" in old
    assert refer(old)[0].regions[0].phrases[0] == "the cat"


class Trap:
    def __reduce__(self):
        return eval, ("1",)


@pytest.mark.parametrize(
    ("refs", "message"),
    [
        ([Trap()], r"refs\(unc\).p: expected a pickle of plain data, but it asks for __builtin__.eval"),
        ([np.float64(1)], "it asks for numpy"),
        (b"", "expected a pickle of plain data"),
        (b"<html>", "expected a pickle of plain data"),
        ([REFS[0] | {"ann_id": 99}], "reference 0: .*instances.json has no object 99"),
        ([{"ref_id": 1}], "a record has no key 'split'"),
    ],
)
def test_a_bad_pickle_has_one_clear_message(refer, refs, message):
    with pytest.raises(ValueError, match=message):
        len(refer(refs, split="val"))


RES = {
    "image_path": "train2014/b.jpg",
    "height": 4,
    "width": 6,
    "category": "person",
    "bbox": [1, 1, 2, 2],
    "segmentation": SQUARE,
    "sentences": ["the lady", "left"],
}


def test_ullavas_records_are_one_object_each(write, tmp_path):
    packed = [{"size": [4, 6], "counts": "5220;"}]
    records = [RES, RES | {"segmentation": packed}, RES | {"segmentation": []}]
    reader = READERS["ullava_referring"]("toy", write("r.json", records), tmp_path)
    assert [sample.id for sample in reader] == ["toy/b.0", "toy/b.1", "toy/b.2"]
    regions = [sample.regions[0] for sample in reader]
    assert reader[0].media == (Picture(tmp_path / "train2014/b.jpg", (4, 6)),)
    assert regions[0].phrases == ("the lady", "left")
    assert (regions[0].mask.draw() == regions[1].mask.draw()).all()
    assert regions[2].mask is None and regions[2].box == (1, 1, 3, 3), "no segmentation: a box only"


PARTS = {
    "image_path": "a/b.jpg",
    "classes": ["dog head", "dog leg"],
    "annotations": [{"segmentation": SQUARE, "bbox": [1, 1, 2, 2], "height": 4, "width": 6}] * 2,
}


def test_parts_are_regions_by_their_names(write, tmp_path):
    (sample,) = READERS["ullava_parts"]("toy", write("p.json", [PARTS]), tmp_path)
    assert (sample.id, sample.media) == ("toy/b.0", (Picture(tmp_path / "a/b.jpg", (4, 6)),))
    assert [region.category for region in sample.regions] == ["dog head", "dog leg"]
    assert sample.regions[1].mask.draw().sum() == 4
    with pytest.raises(ValueError, match="q.json: record 0: 1 names for 2 objects"):
        len(READERS["ullava_parts"]("toy", write("q.json", [PARTS | {"classes": ["dog"]}]), tmp_path))


LABELS = np.array([[0, 1, 1], [3, 9, 9]], np.uint8)


@pytest.fixture
def label_map(write, tmp_path):
    write("labels/x.png", LABELS)
    write("labels/y.png", LABELS)
    write("images/x.jpg", np.zeros((2, 3, 3), np.uint8))
    write("images/y.png", np.zeros((2, 3, 3), np.uint8))
    write("names.txt", "sky\nroad\ncar\n")

    def build(void=(0, 9), **options):
        folders = tmp_path / "images", tmp_path / "labels", tmp_path / "names.txt"
        return READERS["label_map"]("toy", *folders, first_id=1, void=void, **options)

    return build


def test_a_label_map_has_one_region_per_class_present(label_map, tmp_path):
    sample = label_map()[0]
    assert sample.id == "toy/x"
    assert sample.media == (Picture(tmp_path / "images/x.jpg", (2, 3)),)
    assert [region.category for region in sample.regions] == ["sky", "car"]
    assert sample.absent == ("road",)
    assert sample.regions[0].mask == LabelPixels(tmp_path / "labels/x.png", (1,))
    assert sample.ignored.draw().tolist() == [[True, False, False], [False, True, True]]


def test_a_value_that_is_neither_class_nor_void_is_refused(label_map):
    with pytest.raises(ValueError, match=r"toy/x: .*x.png holds the value 9, expected 1 to 3 .* add it to `void:`"):
        label_map(void=(0,))[0]


def test_a_list_chooses_the_label_maps(label_map, write):
    path = write("list.txt", "/SegNet/images/y.png /SegNet/labels/y.png\n\n")
    assert [sample.id for sample in label_map(listed=path)] == ["toy/y"]
    with pytest.raises(FileNotFoundError, match="images: 1 of 1 files are missing, e.g. z"):
        len(label_map(listed=write("list.txt", "z.png\n")))


def test_a_dash_in_the_vocabulary_is_an_id_without_a_class(label_map, write):
    write("names.txt", "sky\nroad\n-\n")
    sample = label_map()[0]
    assert [region.category for region in sample.regions] == ["sky"]
    assert sample.ignored.draw().sum() == 4


def test_salient_pictures_and_masks_meet_by_name(write, tmp_path):
    write("i/a.jpg", np.zeros((2, 2, 3), np.uint8))
    write("m/a.png", np.full((2, 2), 255, np.uint8))
    reader = READERS["salient_pairs"]("toy", tmp_path / "i", tmp_path / "m")
    (sample,) = reader
    assert (sample.id, sample.media) == ("toy/a", (Picture(tmp_path / "i/a.jpg"),))
    assert sample.regions[0].mask == Foreground(tmp_path / "m/a.png")
    write("i/b.jpg", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match="m: 1 of 2 files are missing, e.g. b"):
        len(READERS["salient_pairs"]("toy", tmp_path / "i", tmp_path / "m"))


def test_salient_records_of_both_releases_are_read(write, tmp_path):
    paths = {"image_path": "i/a.jpg", "label_path": "m/a.png"}
    newer, older, bare = paths | {"gpt": {"reason": "it is bright", "tag": "dog"}}, paths | {"caption": "a dog"}, paths
    reader = READERS["salient_json"]("toy", write("s.json", [newer, older, bare]), tmp_path)
    told = [(sample.regions[0].category, sample.regions[0].reason) for sample in reader]
    assert told == [("dog", "it is bright"), ("a dog", None), (None, None)]
    assert reader[2].regions[0].mask.path == tmp_path / "m/a.png"


def test_flickr_captions_may_hold_commas(write, tmp_path):
    path = write("c.txt", 'image,caption\nb.jpg,"A dog , running ."\na.jpg,Two .\nb.jpg,A dog .\n')
    first, second = READERS["flickr_captions"]("toy", path, tmp_path)
    assert (first.id, second.id) == ("toy/a", "toy/b")
    assert second.turns == (Turn("", "A dog , running .", ("A dog , running .", "A dog .")),)


def test_flickr30k_has_three_columns_and_another_delimiter(write, tmp_path):
    path = write("c.csv", "image_name| comment_number| comment\na.jpg| 0| A man .\na.jpg| 1| Two .\n")
    (sample,) = READERS["flickr_captions"]("toy", path, tmp_path, delimiter="|")
    assert sample.turns[0].references == ("A man .", "Two .")


def test_a_list_chooses_the_pictures_with_captions(write, tmp_path):
    path, listed = write("c.txt", "image,caption\na.jpg,x\nb.jpg,y\n"), write("test.txt", "b.jpg\nz.jpg\n")
    assert [s.id for s in READERS["flickr_captions"]("toy", path, tmp_path, listed=listed)] == ["toy/b"]
    listed = write("entities.txt", "b\nz\n")  # Entities' lists, which are Flickr30k's splits
    assert [s.id for s in READERS["flickr_captions"]("toy", path, tmp_path, listed=listed)] == ["toy/b"]


def test_a_caption_without_a_picture_names_its_line(write, tmp_path):
    with pytest.raises(ValueError, match="c.txt:2: expected picture,caption, found"):
        len(READERS["flickr_captions"]("toy", write("c.txt", "image,caption\nonly\n"), tmp_path))


ASKED = {"questions": [{"question_id": 70, "image_id": 7, "question": "What is it?"}]}
ANSWERED = {
    "annotations": [
        {"question_id": 70, "multiple_choice_answer": "cat", "answers": [{"answer": "cat"}] * 9 + [{"answer": "dog"}]}
    ]
}


def test_vqa_answers_are_references(write, tmp_path):
    paths = write("q.json", ASKED), write("a.json", ANSWERED)
    (sample,) = READERS["vqa_v2"]("toy", *paths, tmp_path)
    assert sample.id == "toy/7"
    assert sample.media[0].path.name == "COCO_train2014_000000000007.jpg"
    assert sample.turns == (Turn("What is it?", "cat", ("cat",) * 9 + ("dog",)),)
    (sample,) = READERS["vqa_v2"]("toy", *paths, tmp_path, pattern="{:06d}.png")
    assert sample.media[0].path.name == "000007.png"


def test_a_question_without_answers_is_named(write, tmp_path):
    paths = write("q.json", ASKED), write("a.json", {"annotations": []})
    with pytest.raises(ValueError, match="a.json: no answers to question 70"):
        len(READERS["vqa_v2"]("toy", *paths, tmp_path))


def test_gqa_asks_by_question_id(write, tmp_path):
    asked = {str(i): {"imageId": "n7", "question": f"q{i}", "answer": "yes"} for i in (2, 1)}
    (sample,) = READERS["gqa"]("toy", write("g.json", asked), tmp_path)
    assert (sample.id, sample.media) == ("toy/n7", (Picture(tmp_path / "n7.jpg"),))
    assert sample.turns == (Turn("q1", "yes", ("yes",)), Turn("q2", "yes", ("yes",)))


def test_text_vqas_answer_is_the_most_frequent_one(write, tmp_path):
    asked = {"data": [{"image_id": "a1", "question": "what?", "answers": ["x", "nous", "nous"]}]}
    (sample,) = READERS["text_vqa"]("toy", write("t.json", asked), tmp_path)
    assert (sample.id, sample.media[0].path.name) == ("toy/a1", "a1.jpg")
    assert sample.turns == (Turn("what?", "nous", ("x", "nous", "nous")),)


def test_daquar_is_the_same_as_text_and_as_csv(write, tmp_path):
    write("images/image7.png", np.zeros((2, 2, 3), np.uint8))
    write("images/image8.png", np.zeros((2, 2, 3), np.uint8))
    text = write("qa.txt", "what is on the bed in the image7 ?\npillow, lamp\nhow many in the image8 ?\n2\n")
    table = write("qa.csv", 'question,answer,image_id\nwhat is on the bed,"pillow, lamp",image7\nhow many,2,image8\n')
    read = [list(READERS["daquar"]("toy", path, tmp_path / "images")) for path in (text, table)]
    assert read[0] == read[1]
    assert read[0][0].turns == (Turn("what is on the bed", "pillow, lamp", ("pillow, lamp",)),)
    listed = write("list.txt", "image8\n")
    assert [s.id for s in READERS["daquar"]("toy", table, tmp_path / "images", listed)] == ["toy/image8"]


def test_a_question_without_its_picture_names_its_line(write, tmp_path):
    with pytest.raises(ValueError, match=r"qa.txt:1: expected a question that ends in 'in the imageN \?'"):
        len(READERS["daquar"]("toy", write("qa.txt", "what is it ?\nbed\n"), tmp_path))


def test_msrvtt_gives_all_captions_of_a_clip(write, tmp_path):
    videos = [{"video_id": "video1", "split": "train"}, {"video_id": "video2", "split": "validate"}]
    sentences = [{"video_id": f"video{i}", "caption": text} for i, text in ((2, "c"), (1, "a"), (1, "b"))]
    path = write("v.json", {"videos": videos, "sentences": sentences})
    (sample,) = READERS["msrvtt"]("toy", path, tmp_path, "train")
    assert (sample.id, sample.media) == ("toy/video1", (Video(tmp_path / "video1.mp4"),))
    assert sample.turns == (Turn("", "a", ("a", "b")),)
    assert len(READERS["msrvtt"]("toy", path, tmp_path)) == 2


def chat(*values, **more):
    speakers = ["human", "gpt"] * len(values)
    return {"conversations": [{"from": s, "value": v} for s, v in zip(speakers, values, strict=False)]} | more


def test_chats_are_about_a_picture_a_film_or_nothing(write, tmp_path):
    records = [
        chat("Describe it.\n<image>", "A cat.", "Why?", "It purrs.", id="k", image="a/b.jpg"),
        chat("<video>What happens?", "A jump.", video="c.mp4"),
        chat("What happens?", "A fall.", gif="d.gif"),
        chat("Hello", "Hi"),
        chat("<image> and <image> differ?", "Yes.", image=["e.jpg", "f.jpg"]),
    ]
    reader = READERS["llava_chat"]("toy", write("c.jsonl", records), tmp_path / "i", tmp_path / "v")
    picture, film, gif, text, two = reader
    assert picture.turns == (Turn("Describe it.", "A cat.", ("A cat.",)), Turn("Why?", "It purrs.", ("It purrs.",)))
    assert (picture.id, film.id, text.id) == ("toy/k.0", "toy/c.1", "toy/text.3")
    assert picture.media == (Picture(tmp_path / "i/a/b.jpg"),)
    assert film.media == (Video(tmp_path / "v/c.mp4"),) and film.turns[0].question == "What happens?"
    assert gif.media == (Video(tmp_path / "v/d.gif"),)
    assert text.media == ()
    assert [medium.path.name for medium in two.media] == ["e.jpg", "f.jpg"]
    assert two.turns == (Turn("<image> and <image> differ?", "Yes.", ("Yes.",), (0, 1)),)


def test_speakers_take_turns(write, tmp_path):
    record = {"id": "k", "conversations": [{"from": "gpt", "value": "Hi"}]}
    reader = READERS["llava_chat"]("toy", write("c.json", [record]), tmp_path)
    with pytest.raises(ValueError, match="toy/k.0: expected human and gpt in turns, found gpt"):
        reader[0]


def test_a_picture_without_its_folder_is_refused(write):
    reader = READERS["llava_chat"]("toy", write("c.json", [chat("q", "a", image="x.jpg")]))
    with pytest.raises(ValueError, match="toy/x.0: it has the image 'x.jpg'; the catalogue entry lacks its folder"):
        reader[0]


@pytest.mark.parametrize("path", ["../x.jpg", "/etc/passwd", "a/../../x.jpg", "..", ""])
def test_a_path_must_stay_inside_its_root(write, tmp_path, path):
    with pytest.raises(ValueError, match="leads out of"):
        inside(tmp_path, path, "toy/1")
    if path:
        reader = READERS["llava_chat"]("toy", write("c.json", [chat("q", "a", image=path)]), tmp_path)
        with pytest.raises(ValueError, match=r"toy/[\w.]*0: '.*' leads out of .*; expected a path below it"):
            reader[0]


def test_a_path_may_wander_inside(tmp_path):
    assert inside(tmp_path, "a/../b/./c.jpg", "toy/1") == tmp_path / "b/c.jpg"


def test_a_mask_of_another_size_than_its_picture_is_told_apart(write, tmp_path):
    write("train2014/b.jpg", np.zeros((6, 4, 3), np.uint8))
    (sample,) = READERS["ullava_referring"]("toy", write("r.json", [RES]), tmp_path)
    with pytest.raises(ValueError, match=r"b.jpg: the picture is 6 x 4 \(H x W\), its annotation says 4 x 6"):
        images.read(sample.media[0])


def test_readers_travel_to_workers_small(write, tmp_path):
    reader = READERS["ullava_referring"]("toy", write("r.json", [RES] * 500), tmp_path)
    assert len(reader) == 500
    assert len(pickle.dumps(reader)) < 1000
    assert pickle.loads(pickle.dumps(reader))[499] == reader[499]


def test_an_index_beyond_the_end_ends_a_loop(write, tmp_path):
    reader = READERS["ullava_referring"]("toy", write("r.json", [RES]), tmp_path)
    with pytest.raises(IndexError):
        reader[1]
    assert reader[-1] == reader[0]
