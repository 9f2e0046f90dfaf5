import numpy as np
import pytest

from ullava.evaluation.engine.predictions import decode, read_predictions, replacing, side


def test_probabilities_become_run_lengths_and_come_back():
    mask = np.array([[0.2, 0.9, 0.5], [0.51, 0.0, 1.0]], np.float32)
    lines = side({"mask": [(mask, None)], "box": [(None, (0.0, 1.0, 2.0, 3.0))]}, 0)
    assert (decode(lines["masks"][0]) == [[False, True, False], [True, False, True]]).all()
    assert lines["boxes"] == [None]


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id": "a"}\n{"id": \n')
    lines = read_predictions(path)
    assert next(lines) == {"id": "a"}
    with pytest.raises(ValueError, match=r"predictions.jsonl:2: expected JSON"):
        next(lines)


def test_a_file_is_replaced_only_when_all_went_well(tmp_path):
    path = tmp_path / "new" / "results.json"
    with replacing(path) as file:
        file.write("old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [each.name for each in path.parent.iterdir()] == ["results.json"]
