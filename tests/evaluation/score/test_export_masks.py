"""Masks of ReasonSeg's annotations, in both spellings of its files."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.commands.export_masks import main

LARGE, SMALL, LINE = [[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 1], [2, 1], [2, 2], [1, 2]], [[3, 3], [5, 3]]
SPELLINGS = {
    "labelme": lambda label, points: {"label": label, "points": points},
    "notes": lambda label, points: {"category": label, "polygon": [number for point in points for number in point]},
}
ANSWERS = {  # a small shape wins over a large one; where shapes overlap, their union is drawn
    "target": ["####..", "#..#..", "#..#..", "######"],
    "ignore": ["......", ".##...", ".##...", "......"],
    "labeled": ["####..", "####..", "####..", "######"],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_three_masks_are_drawn_of_an_annotation(tmp_path, spelling):
    shapes = [("ignore", SMALL), ("target", LARGE), ("target", LINE), ("flag", [[0, 0], [5, 0], [5, 3]])]
    record = {"text": "what?", "shapes": [SPELLINGS[spelling](*shape) for shape in shapes]}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.json").write_bytes(json.dumps(record | {"note": "café"}, ensure_ascii=False).encode("cp1252"))
    Image.new("RGB", (6, 4)).save(tmp_path / "in" / "a.jpg")
    main([str(tmp_path / "in"), str(tmp_path / "out")])
    for kind, rows in ANSWERS.items():
        drawn = np.array(Image.open(tmp_path / "out" / "a" / f"{kind}_mask.png"))
        assert ["".join(".#"[value // 255] for value in row) for row in drawn] == rows, kind


def test_a_named_picture_and_a_written_size_do_as_well(tmp_path):
    record = {"shapes": [{"label": "target", "points": SMALL}]}
    Image.new("RGB", (6, 4)).save(tmp_path / "other.png")
    for name, more in (("b", {"image_path": "pictures/other.png"}), ("c", {"imageHeight": 4, "imageWidth": 6})):
        (tmp_path / f"{name}.json").write_text(json.dumps(record | more))
        main([str(tmp_path / f"{name}.json"), str(tmp_path / "out")])
        assert Image.open(tmp_path / "out" / name / "target_mask.png").size == (6, 4)
    (tmp_path / "d.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="d.json: nothing says the size of its picture; lay d.jpg beside it"):
        main([str(tmp_path / "d.json"), str(tmp_path / "out")])


def test_what_is_no_annotation_is_named(tmp_path):
    (tmp_path / "e.json").write_text('{"shapes": [{"label": "target"}]}')
    with pytest.raises(ValueError, match="e.json: expected `shapes`.*'polygon'"):
        main([str(tmp_path), str(tmp_path / "out")])
    (tmp_path / "e.json").unlink()
    with pytest.raises(FileNotFoundError, match="expected annotations"):
        main([str(tmp_path), str(tmp_path / "out")])
