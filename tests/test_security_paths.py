"""No annotation leads out of its folder: by `..`, by an absolute path, or through a link, in any format."""

import ast
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ullava.datasets.readers  # noqa: F401, registers them
from ullava.datasets.readers.base import READERS
from ullava.datasets.readers.files import by_stem, inside

ROOT = Path(__file__).parents[1]
BY_STEM = {  # names are looked up among a folder's own files
    "label_map", "salient_pairs", "yolo", "daquar", "entities", "pascal_part", "reason_seg", "part_folders",
}  # fmt: skip
SQUARE = {"bbox": [0, 0, 2, 2], "segmentation": [[0, 0, 2, 0, 2, 2]], "category_id": 1, "id": 1, "image_id": 1}


def coco(file: str, **more) -> dict:
    images = [{"id": 1, "file_name": file, "height": 4, "width": 4}]
    names = [{"id": 1, "name": "cat"}]
    return {"images": images, "categories": names, "annotations": [SQUARE | {"caption": "x"} | more]}


def flat(file: str) -> list[dict]:
    facts = {"image_path": file, "label_path": "m.png", "height": 4, "width": 4, "category": "cat", "sentences": ["x"]}
    parts = {"classes": ["cat"], "annotations": [SQUARE | {"height": 4, "width": 4}]}
    return [facts | {"bbox": SQUARE["bbox"], "segmentation": SQUARE["segmentation"]} | parts]


def refs() -> bytes:
    return pickle.dumps([{"ref_id": 1, "ann_id": 1, "image_id": 1, "split": "val", "sentences": [{"sent": "x"}]}])


def answered(file: str) -> dict:
    return {"image_id": file, "question": "x", "answers": ["y"]}


# reader -> what its annotation files hold, by option, when a picture or film is called `file`
FORMATS = {
    "coco_captions": lambda file: {"annotations": coco(file)},
    "coco_instances": lambda file: {"annotations": coco(file)},
    "coco_panoptic": lambda file: {
        "annotations": coco(file, file_name="a.png", segments_info=[SQUARE]), "segments": "folder",
    },
    "refer": lambda file: {"instances": coco(file), "refs": refs()},
    "ullava_referring": lambda file: {"annotations": flat(file)},
    "ullava_parts": lambda file: {"annotations": flat(file)},
    "salient_json": lambda file: {"annotations": flat(file)},
    "ullava_semantic": lambda file: {
        "annotations": [{"image_path": file, "label_path": "m.png", "classes": [{"class": "cat", "class_id": 1}]}]
    },
    "llava_chat": lambda file: {
        "annotations": [{"images": [file], "messages": [{"role": x, "content": "x"} for x in ("user", "assistant")]}]
    },
    "flickr_captions": lambda file: {"annotations": f"image,caption\n{file},x\n"},
    "msrvtt": lambda file: {
        "annotations": {
            "videos": [{"video_id": file, "split": "train"}], "sentences": [{"video_id": file, "caption": "x"}],
        }
    },
    "gqa": lambda file: {"questions": {"1": {"imageId": file, "question": "x", "answer": "y"}}},
    "text_vqa": lambda file: {"questions": {"data": [answered(file)]}},
    "vqa_v2": lambda file: {
        "questions": {"questions": [{"question_id": 1, "image_id": file, "question": "x"}]},
        "annotations": {"annotations": [{"question_id": 1, "answers": [], "multiple_choice_answer": "y"}]},
    },
    "phrase_boxes": lambda file: {"annotations": [{"image": file, "phrase": "x", "box": [0, 0, 1, 1]}]},
    "coco_parts": lambda file: {"annotations": coco(file)},
    "odvg": lambda file: {
        "annotations": json.dumps(
            {"filename": file, "height": 4, "width": 4,
             "detection": {"instances": [{"bbox": [0, 0, 1, 1], "category": "x"}]}}
        )
    },
    "open_images": lambda file: {
        "annotations": {file.removesuffix(".jpg"): {"cat": ["m.png"]}, "categories": ["cat"]}, "masks": "folder",
    },
    "tgif": lambda file: {"annotations": f"https://x/..?{file}\ty\n"},
    "pope": lambda file: {"questions": json.dumps({"question_id": 1, "image": file, "text": "x", "label": "no"})},
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("ULLAVA_LINKS", raising=False)


@pytest.fixture
def reader(tmp_path):
    """Opens a reader on annotation files that call their picture `file`."""

    def build(name: str, file: str):
        options = {}
        for key, content in FORMATS[name](file).items():
            path = options[key] = tmp_path / f"{name}.{key}.{'p' if isinstance(content, bytes) else 'json'}"
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content))
        folder = {"videos" if name in ("msrvtt", "tgif") else "images": tmp_path / "set"}
        return READERS[name]("toy", **options, **folder)

    return build


def test_every_format_is_tried():
    assert FORMATS.keys() | BY_STEM == READERS.keys()


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("file", ["../secret.jpg", "/etc/passwd", "a/../../secret.jpg"])
def test_no_format_leads_out_of_its_folder(reader, name, file):
    # VQA's pictures are numbers, so anything else is refused before it is a path.
    expected = "invalid literal for int" if name == "vqa_v2" else "leads out of .*set; expected a path below it"
    with pytest.raises(ValueError, match=expected):
        reader(name, file)[0]


def test_the_other_file_of_a_record_stays_in_its_folder_too(tmp_path, reader):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([flat("a.jpg")[0] | {"label_path": "../../m.png"}]))
    with pytest.raises(ValueError, match="'../../m.png' leads out of"):
        READERS["salient_json"]("toy", path, tmp_path)[0]
    path.write_text(json.dumps(coco("a.jpg", file_name="/m.png", segments_info=[SQUARE])))
    with pytest.raises(ValueError, match="'/m.png' leads out of"):
        READERS["coco_panoptic"]("toy", path, tmp_path, tmp_path)[0]


@pytest.mark.parametrize("file", [5, None, "a\0b", ["a.jpg"]])
def test_what_is_no_path_is_refused(tmp_path, file):
    with pytest.raises(ValueError, match="toy/1: expected the path of a file below .*, found"):
        inside(tmp_path, file, "toy/1")


@pytest.fixture
def linked(tmp_path):
    """A set with a link to a file outside, one to a folder outside, and one to a file of its own."""
    home, outside = tmp_path / "set", tmp_path / "outside"
    for folder in (home / "real", outside):
        folder.mkdir(parents=True)
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(folder / "a.png")
    (home / "file.png").symlink_to(outside / "a.png")
    (home / "folder").symlink_to(outside)
    (home / "own.png").symlink_to("real/a.png")
    return home


@pytest.mark.parametrize("file", ["file.png", "folder/a.png"])
def test_a_link_must_not_lead_out(linked, file, monkeypatch):
    with pytest.raises(ValueError, match=r"toy/1: .* is a link to .*outside.*, out of .*set; .* ULLAVA_LINKS="):
        inside(linked, file, "toy/1")
    monkeypatch.setenv("ULLAVA_LINKS", f"/nowhere{os.pathsep}{linked.parent / 'outside'}")
    assert inside(linked, file, "toy/1") == linked / file


def test_a_link_within_the_set_and_a_set_that_is_a_link_are_the_users(linked, tmp_path):
    assert inside(linked, "own.png", "toy/1") == linked / "own.png"
    (tmp_path / "named").symlink_to(linked)
    assert inside(tmp_path / "named", "own.png", "toy/1") == tmp_path / "named" / "own.png"
    assert inside(tmp_path / "named", "real/a.png", "toy/1") == tmp_path / "named/real/a.png"


@pytest.mark.parametrize("name", ["file.png", "folder"])
def test_a_folder_is_listed_without_following_links_out(linked, name):
    for other in {"file.png", "folder"} - {name}:
        (linked / other).unlink()
    with pytest.raises(ValueError, match=f"{name} is a link to"):
        by_stem(linked)


def test_a_folder_that_leads_round_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="round: a link to a folder that it lies in"):
        by_stem(tmp_path)


def test_a_list_names_only_what_the_folder_holds(tmp_path):
    for folder in ("i", "m"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / folder / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "i" / "a.png").read_bytes())
    listed = tmp_path / "list.txt"
    listed.write_text("../b.png\n")
    for name, more in (("salient_pairs", ()), ("label_map", (tmp_path / "names.txt",))):
        with pytest.raises(FileNotFoundError, match="1 of 1 files are missing, e.g. b"):
            len(READERS[name]("toy", tmp_path / "i", tmp_path / "m", *more, listed=listed))


def test_readers_join_paths_in_one_place():
    joins = [
        f"{path.name}:{node.lineno}"
        for path in (ROOT / "datasets" / "readers").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if path.name != "files.py"
        and (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and "self" in ast.unparse(node.left)
             or isinstance(node, ast.Attribute) and node.attr in ("joinpath", "open_code"))
    ]  # fmt: skip
    assert not joins, "join by files.inside"
