"""The record that a reader's page shows is one that the reader reads."""

import json
import re
import sys

import pytest
from PIL import Image

import ullava.datasets.readers  # noqa: F401, registers them
from ullava.datasets.readers.base import READERS

LISTS = ("salient_json", "ullava_parts", "ullava_referring", "ullava_semantic", "phrase_boxes", "llava_chat")
LINES = ("odvg", "pope")
OBJECTS = ("coco_instances", "coco_panoptic", "coco_parts", "coco_captions", "gqa", "msrvtt", "text_vqa", "open_images")


def examples(name: str) -> list[dict]:
    """The JSON in the docstring of the reader's module: what is indented."""
    page = sys.modules[READERS[name].__module__].__doc__
    text = "\n".join(line for line in page.splitlines() if line.startswith("    ")).replace(", ...", "")
    decode, found = json.JSONDecoder().raw_decode, []
    while text.strip():
        value, end = decode(text.strip())
        text = text.strip()[end:]
        found.append(value)
    return found


@pytest.mark.parametrize("name", [*LISTS, *LINES, *OBJECTS])
def test_the_example_is_read(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))
    records, reader = examples(name), READERS[name]
    path = tmp_path / ("records.jsonl" if name in LINES else "records.json")
    path.write_text("\n".join(map(json.dumps, records)) if name in LINES else json.dumps(
        records if name in LISTS else records[0]))  # fmt: skip
    for place in re.findall(r"[\w/]+\.(?:jpg|png)", path.read_text()):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (640, 480), 255).save(tmp_path / place)
    Image.new("RGB", (640, 480)).save(tmp_path / "0a12bc.jpg")
    fields = reader.__dataclass_fields__.keys()
    options = {"annotations": path, "questions": path, "images": tmp_path, "videos": tmp_path, "segments": tmp_path,
               "masks": tmp_path, "closed": False, "picture": "image", "phrase": "phrase", "box": "box"}  # fmt: skip
    read = reader("toy", **{key: value for key, value in options.items() if key in fields})
    samples = list(read)
    assert len(samples) == (len(records) if name in (*LISTS, *LINES) else 1)
    for sample in samples:
        assert sample.media and (sample.regions or sample.turns)
