"""Real samples of formats whose pictures are not there: what their files say is read, word by word."""

import json
import re

import pytest

from ullava.datasets.readers.base import READERS

pytestmark = pytest.mark.shared


def test_tgifs_table_is_read_line_by_line(realdata, tmp_path):
    path = realdata / "tgif_annotations_only" / "tgif-v1.0.head.tsv"
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    read = [
        (sample.media[0].path.name, sentence)
        for sample in READERS["tgif"]("tgif", path, tmp_path)
        for sentence in sample.turns[0].references
    ]
    assert sorted(read) == sorted((address.rsplit("/", 1)[1], sentence.strip()) for address, sentence in lines)
    assert all(name.startswith("tumblr_") and name.endswith(".gif") for name, _ in read)


def test_odvgs_own_example_is_read(realdata, write, tmp_path):
    """The example of its data_format.md, whose comments are taken out."""
    text = (realdata / "odvg_format" / "data_format.md").read_text(encoding="utf-8")
    example = json.loads(re.sub(r"#.*", "", text.split("```json")[1].split("```")[0]))
    (sample,) = READERS["odvg"]("odvg", write("o.jsonl", [example]), tmp_path)
    assert (sample.id, sample.media[0].size) == ("odvg/image.0", (693, 1024))
    phrases = {phrase: region.box for region in sample.regions for phrase in region.phrases}
    assert phrases["a wire hanger"] == (19, 19, 982, 671) and len(phrases) == 2
    assert [(region.category, region.box) for region in sample.regions if not region.phrases] == [
        ("dog", (262, 210, 323, 338)), ("cat", (164, 263, 252, 371)), ("apple", (4, 243, 66, 373)),
    ]  # fmt: skip


def test_odvgs_label_map_names_what_has_a_number_only(realdata, write, tmp_path):
    names = realdata / "odvg_format" / "config" / "coco2017_label_map.json"
    things = [{"bbox": [0, 0, 2, 2], "label": number} for number in (0, 79)]
    record = {"filename": "a.jpg", "height": 4, "width": 4, "detection": {"instances": things}}
    (sample,) = READERS["odvg"]("odvg", write("o.jsonl", [record]), tmp_path, names)
    assert [region.category for region in sample.regions] == ["person", "toothbrush"]
