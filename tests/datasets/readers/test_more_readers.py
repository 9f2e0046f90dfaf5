"""Readers of panoptic, YOLO, phrase, POPE and ShareGPT files, on miniatures whose values are worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from ullava.datasets.catalogue import find, open_dataset
from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.files import chosen
from ullava.datasets.structures import Picture, Turn, Video

IMAGES = [
    {"id": 7, "file_name": "b.jpg", "height": 2, "width": 4},
    {"id": 9, "file_name": "a.jpg", "height": 2, "width": 4},
]
CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "sky"}]


def segment(identity, category, bbox, **more):
    return {"id": identity, "category_id": category, "bbox": bbox, "iscrowd": 0} | more


@pytest.fixture
def panoptic(write, tmp_path):
    """Picture 7: two cats, 300 = (44, 1, 0) and 70000 = (112, 17, 1); sky 6; below, a crowd of dogs 5; right, void."""
    colours = np.zeros((2, 4, 3), np.uint8)
    colours[0, 0], colours[0, 1], colours[1, :2], colours[0, 2] = (44, 1, 0), (112, 17, 1), (5, 0, 0), (6, 0, 0)
    write("segments/b.png", colours)
    write("b.jpg", colours)
    found = [
        segment(300, 1, [0, 0, 1, 1]),
        segment(70000, 1, [1, 0, 1, 1]),
        segment(5, 2, [0, 1, 2, 1], iscrowd=1),
        segment(6, 3, [2, 0, 1, 1]),
    ]
    notes = [{"image_id": 7, "file_name": "b.png", "segments_info": found}]
    path = write("panoptic.json", {"images": IMAGES, "annotations": notes, "categories": CATEGORIES})
    classes = write("classes.txt", "cat\n-\ndog\nsky\ntree\n")

    def build(**options):
        options = {key: classes if key == "classes" else value for key, value in options.items()}
        return READERS["coco_panoptic"]("toy", path, tmp_path / "segments", tmp_path, **options)

    return build


def test_panoptic_segments_are_regions_and_crowds_are_ignored(panoptic, drawn):
    (sample,) = panoptic()  # picture 9 has no segments
    assert (sample.id, sample.media[0].size) == ("toy/7", (2, 4))
    stated = [(region.category, region.box) for region in sample.regions]
    assert stated == [("cat", (0, 0, 1, 1)), ("cat", (1, 0, 2, 1)), ("sky", (2, 0, 3, 1))]
    assert (sample.regions[1].mask.draw() == drawn(".#.. ....")).all()
    assert (sample.ignored.draw() == drawn("...# ####")).all(), "void, and the crowd"
    assert sample.regions[0].mask.size == (2, 4)


def test_panoptic_categories_are_regions_crowds_too(panoptic, drawn):
    (sample,) = panoptic(classes=True)
    assert [region.category for region in sample.regions] == ["cat", "dog", "sky"]
    assert (sample.regions[0].mask.draw() == drawn("##.. ....")).all()
    assert (sample.ignored.draw() == drawn("...# ..##")).all()
    assert sample.absent == ("tree",)


def test_a_segment_whose_category_is_there_once_is_said_by_its_name(panoptic):
    (sample,) = panoptic(unique_categories=True)
    assert [region.phrases for region in sample.regions] == [("sky",)], "two cats, and a crowd of dogs"


def test_a_grey_picture_holds_no_segments(panoptic, write):
    (sample,) = panoptic()
    write("segments/b.png", np.zeros((2, 4), np.uint8))
    with pytest.raises(ValueError, match=r"b.png: expected the colours of panoptic segments, found a L picture"):
        sample.regions[0].mask.draw()


@pytest.fixture
def yolo(write, tmp_path):
    """A picture of 10 x 20 (H x W) and what a text says of it; `b` has none."""
    write("i/a.png", np.zeros((10, 20, 3), np.uint8))
    write("i/b.png", np.zeros((10, 20, 3), np.uint8))
    write("l/b.txt", "")
    classes = write("classes.txt", "cat\ndog\n")

    def build(text, **options):
        write("l/a.txt", text)
        return READERS["yolo"]("toy", tmp_path / "i", tmp_path / "l", classes, **options)

    return build


def test_yolos_fractions_become_pixels(yolo, drawn):
    # Centre (0.5, 0.5) of 20 x 10 is (10, 5); half of 0.2 x 0.4 of it is 2 x 2. The polygon: x 0..10, y 0..5.
    (sample,) = yolo("1 0.5 0.5 0.2 0.4\n\n0 0 0 0.5 0 0.5 0.5 0 0.5\n")
    dog, cat = sample.regions
    assert (sample.id, sample.media[0].size) == ("toy/a", (10, 20))
    assert (dog.category, dog.box, dog.mask) == ("dog", pytest.approx((8, 3, 12, 7)), None)
    assert (cat.category, cat.box) == ("cat", (0, 0, 10, 5))
    assert cat.mask.draw().sum() == 50 and cat.mask.draw()[:5, :10].all()


def test_yolos_ids_may_begin_at_one_and_a_name_may_be_unique(yolo):
    text = "1 0.5 0.5 0.2 0.4\n2 0.5 0.5 0.2 0.4\n2 0.1 0.1 0.2 0.2\n"
    (sample,) = yolo(text, first_id=1, unique_categories=True)
    assert [region.phrases for region in sample.regions] == [("cat",)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.2 0.4", r"a.txt:1: no class '2' in classes.txt from 0 on"),
        ("0 0.5 0.5 0.2", "expected 4 numbers of a box or 6, 8, ... of a polygon, found 3"),
        ("0 0.5 x 0.2 0.4", "expected numbers, found '0.5 x 0.2 0.4'"),
        ("0 5 5 2 4", "expected fractions of the picture, 0 to 1"),
        ("0 nan 0.5 0.2 0.4", "expected fractions of the picture, 0 to 1"),
    ],
)
def test_a_line_of_yolo_that_does_not_fit_is_named(yolo, line, message):
    with pytest.raises(ValueError, match=message):
        yolo(line)[0]


PHRASES = [
    {"image": "b.jpg", "phrase": "a cat", "box": [2, 2, 4, 6], "split": "val", "zoom": 2},
    {"image": "b.jpg", "phrase": "the cat", "box": [2, 2, 4, 6], "split": "val", "zoom": 2},
    {"image": "b.jpg", "phrase": "a cat", "box": [2, 2, 4, 6], "split": "val", "zoom": 2},
    {"image": "b.jpg", "phrase": "a dog", "box": None, "split": "val"},
    {"image": "a.jpg", "phrase": "a bird", "box": [], "split": "val"},
    {"image": "a.jpg", "phrase": "a cow", "box": [0, 0, 1, 1], "split": "test"},
]


@pytest.mark.parametrize(
    ("options", "box"),
    [
        ({}, (2, 2, 4, 6)),
        ({"form": "xywh"}, (2, 2, 6, 8)),
        ({"form": "from_one"}, (1, 1, 4, 6)),  # both corners inside, from 1: pixels 1 to 3 and 1 to 5
    ],
)
def test_phrases_of_one_box_are_one_region(write, tmp_path, options, box):
    path = write("p.jsonl", PHRASES)
    nothing, something = READERS["phrase_boxes"]("toy", path, tmp_path, split="val", **options)
    assert (something.id, something.media) == ("toy/b", (Picture(tmp_path / "b.jpg"),))
    ((region,), absent) = (something.regions, something.absent)
    assert (region.phrases, region.box, absent) == (("a cat", "the cat"), box, ("a dog",))
    assert (nothing.regions, nothing.absent) == ((), ("a bird",))


@pytest.mark.parametrize(("form", "box"), [
    ("inclusive", (2, 2, 5, 7)),
    ("normalised", (40, 16, 80, 48)),  # times 20 wide, 8 high
    ("thousandths", (0.04, 0.016, 0.08, 0.048)),
    ("padded_square", (40, 34, 80, 114)),  # times 20; six rows lie above the picture
])  # fmt: skip
def test_boxes_may_be_shares_of_the_picture(write, tmp_path, form, box):
    write("b.jpg", np.zeros((8, 20, 3), np.uint8))
    reader = READERS["phrase_boxes"]("toy", write("p.json", PHRASES[:1]), tmp_path, form=form)
    assert reader[0].regions[0].box == pytest.approx(box)


def test_what_is_absent_may_be_left_out_and_boxes_be_scaled(write, tmp_path):
    path = write("p.json", PHRASES[:3])
    (sample,) = READERS["phrase_boxes"]("toy", path, tmp_path, form="from_one", scale="zoom")
    assert sample.regions[0].box == (0.5, 0.5, 2, 3)
    whole = write("q.json", PHRASES)
    (sample,) = READERS["phrase_boxes"]("toy", whole, tmp_path, split="val", targets_only=True)
    assert (sample.id, sample.absent) == ("toy/b", ())
    with pytest.raises(ValueError, match="form: expected xyxy, xywh, .*padded_square, found 'xxyy'"):
        READERS["phrase_boxes"]("toy", path, tmp_path, form="xxyy")


def thing(names, *corners):
    sides = "".join(f"<{s}>{c}</{s}>" for s, c in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=False))
    place = f"<bndbox>{sides}</bndbox>" if corners else "<nobndbox>1</nobndbox>"
    return "<object>" + "".join(f"<name>{name}</name>" for name in names) + place + "</object>"


@pytest.fixture
def entities(write, tmp_path):
    objects = thing([12, 14], 1, 1, 10, 5) + thing([12], 4, 2, 20, 8) + thing([13])
    write("Annotations/55.xml", f"<annotation><filename>55.jpg</filename>{objects}</annotation>")
    first = "[/EN#12/people/clothing Two men] sit in [/EN#13/scene a park] ."
    others = "[/EN#12/people Men] rest .\n[/EN#14/people One] sees [/EN#0/notvisual it] .\n"
    write("Sentences/55.txt", f"{first}\n{others}")
    folders = tmp_path / "Annotations", tmp_path / "Sentences", tmp_path

    def build(**options):
        return READERS["entities"]("toy", *folders, **options)

    return build


def test_entities_are_what_sentences_mark_with_the_box_around_all_boxes(entities, tmp_path):
    (sample,) = entities()
    assert (sample.id, sample.media) == ("toy/55", (Picture(tmp_path / "55.jpg"),))
    men, one = sample.regions  # the park has no box, and what is not visual has no number
    assert (men.phrases, men.box) == (("Two men", "Men"), (0, 0, 20, 8))
    assert (one.phrases, one.box) == (("One",), (0, 0, 10, 5))


def test_entities_split_is_a_list_of_numbers(entities, write):
    assert len(entities(listed=write("test.txt", "55\n"))) == 1
    with pytest.raises(FileNotFoundError, match="56.xml or its sentences .* is missing"):
        len(entities(listed=write("val.txt", "56\n")))


def test_pope_asks_several_questions_of_a_picture(write, tmp_path):
    asked = [("COCO_val2014_000000000042.jpg", "Is there a cat?", "yes"), ("b7.jpg", "A dog?", "no")]
    asked.append(("COCO_val2014_000000000042.jpg", "A cow?", "no"))
    records = [{"question_id": i, "image": p, "text": q, "label": a} for i, (p, q, a) in enumerate(asked)]
    write("p.jsonl", records).rename(tmp_path / "p.json")
    first, second = READERS["pope"]("toy", tmp_path / "p.json", tmp_path)
    assert first.turns == (Turn("Is there a cat?", "yes", ("yes",)), Turn("A cow?", "no", ("no",)))
    assert second.media == (Picture(tmp_path / "b7.jpg"),)
    first, second = READERS["pope"]("toy", tmp_path / "p.json", tmp_path, "{:012d}.jpg")
    assert [s.media[0].path.name for s in (first, second)] == ["000000000042.jpg", "000000000007.jpg"]
    bad = write("bad.jsonl", [records[0] | {"label": "maybe"}])
    with pytest.raises(ValueError, match="bad.jsonl:1: label: expected yes or no, found 'maybe'"):
        len(READERS["pope"]("toy", bad, tmp_path))


def messages(*texts):
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def test_marks_of_several_media_stay_where_they_are(write, tmp_path):
    said = messages("<image>Who?", "A.", "Why?", "B.", "And<video> or <image>?", "C.")
    records = [
        {"messages": said, "images": ["a.jpg", "b.jpg"], "videos": ["c.mp4"]},
        {"messages": messages("Who is it?<image>", "A."), "images": ["a.jpg"]},
        {"messages": messages("Who?", "A."), "images": ["a.jpg", "b.jpg"]},
        {"messages": messages("<video>Funny?", "Yes."), "videos": ["c.mp4"]},
    ]
    three, one, unmarked, film = READERS["llava_chat"]("toy", write("m.json", records), tmp_path)
    assert three.media == (Picture(tmp_path / "a.jpg"), Video(tmp_path / "c.mp4"), Picture(tmp_path / "b.jpg"))
    assert [turn.media for turn in three.turns] == [(0,), (), (1, 2)]
    assert three.turns[2].question == "And<video> or <image>?"
    assert (one.turns[0].question, one.turns[0].media) == ("Who is it?", ())
    assert len(unmarked.media) == 2 and unmarked.turns[0].media == ()
    assert (film.turns[0].question, film.id) == ("Funny?", "toy/c.3")


def test_a_system_prompt_stands_before_the_first_question(write, tmp_path):
    system = {"role": "system", "content": "You are terse."}
    records = [
        {"messages": [system, *messages("<image>Who?", "A.", "Why?", "B.")], "images": ["a.jpg"]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}], "system": "Be polite."},
        {"messages": [{"role": "system", "content": " "}, *messages("Hi", "Ho")], "system": ""},
    ]
    first, second, empty = READERS["llava_chat"]("toy", write("m.json", records), tmp_path)
    assert [turn.question for turn in first.turns] == ["You are terse.\nWho?", "Why?"]
    assert second.turns[0].question == "Be polite.\nHi"
    assert empty.turns[0].question == "Hi"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"messages": messages("<image><image><image>?", "A."), "images": ["a.jpg", "b.jpg"]},
         "toy/a.0: its text holds <image> <image> <image>, its record <image> <image>; expected one mark for each"),
        ({"messages": messages("<image><video>?", "A."), "images": ["a.jpg", "b.jpg"]}, "holds <image> <video>"),
        ({"messages": [*messages("?", "A."), {"role": "system", "content": "x"}]}, "found human, gpt, system"),
        ({"messages": [{"role": "system", "content": "x"}]}, "text.0: expected human and gpt in turns, found nobody"),
        ({"messages": [*messages("?", "A.", "?"), {"role": "function", "content": "{}"}]}, "gpt, human, function"),
        ({"messages": "hello"}, "another kind of value"),
    ],
)  # fmt: skip
def test_a_chat_that_does_not_fit_its_media_is_named(write, tmp_path, record, message):
    with pytest.raises(ValueError, match=message):
        READERS["llava_chat"]("toy", write("m.json", [record]), tmp_path)[0]


def test_masks_of_a_sequence_lie_in_folders_of_their_own(write, tmp_path):
    for name in ("bear/00000", "bear/00001", "dog/00000"):
        write(f"i/{name}.jpg", np.zeros((2, 2, 3), np.uint8))
        write(f"m/{name}.png", np.full((2, 2), 255, np.uint8))
    reader = READERS["salient_pairs"]("toy", tmp_path / "i", tmp_path / "m")
    assert [sample.id for sample in reader] == ["toy/bear/00000", "toy/bear/00001", "toy/dog/00000"]
    assert reader[2].media[0].path == tmp_path / "i/dog/00000.jpg"
    listed = write("val.txt", "/JPEGImages/480p/dog/00000.jpg /Annotations/480p/dog/00000.png\n")
    chosen_only = READERS["salient_pairs"]("toy", tmp_path / "i", tmp_path / "m", listed=listed)
    assert [sample.id for sample in chosen_only] == ["toy/dog/00000"]
    listed.write_text("/JPEGImages/480p/cow/00000.jpg\n")
    with pytest.raises(FileNotFoundError, match="i: 1 of 1 files are missing, e.g. 00000"):
        len(READERS["salient_pairs"]("toy", tmp_path / "i", tmp_path / "m", listed=listed))


def test_a_list_names_files_by_the_end_of_their_paths(write):
    listed = write("l.txt", "2007_000033\n\n/x/dog/00000.jpg other\n")
    assert chosen(listed, {"2007_000033", "dog/00000"}) == ["2007_000033", "dog/00000"]


def test_vocs_devkit_reads_with_its_vocabulary(write, tmp_path):
    labels = np.array([[0, 8, 8], [255, 15, 15]], np.uint8)  # background, cat, border, person
    palette = Image.fromarray(labels, "P")
    palette.putpalette(list(range(256)) * 3)
    folder = tmp_path / "VOCdevkit/VOC2012"
    write("VOCdevkit/VOC2012/JPEGImages/2007_1.jpg", np.zeros((2, 3, 3), np.uint8))
    write("VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "2007_1\n")
    (folder / "SegmentationClass").mkdir()
    palette.save(folder / "SegmentationClass/2007_1.png")
    entry = {**find("voc2012_val", {})} | {"root": str(tmp_path)}
    (sample,) = open_dataset("voc", "semantic", {"voc": entry})
    assert [region.category for region in sample.regions] == ["background", "cat", "person"]
    assert len(sample.absent) == 18 and sample.ignored.draw().sum() == 1
