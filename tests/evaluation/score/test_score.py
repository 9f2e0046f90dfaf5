"""Scoring files: what is missing, what is too much, what has another size, and what is no mask."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.evaluation.engine.results import read_results
from ullava.evaluation.score.score import main

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], np.uint8)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


@pytest.fixture
def score(tmp_path):
    """Scores the folders pred and gt."""

    def run(kind, *options, pred=tmp_path / "pred", gt=tmp_path / "gt"):
        out = tmp_path / "out" / "scores.json"
        main([kind, "--pred", str(pred), "--gt", str(gt), "--out", str(out), *options])
        return read_results(out)["rows"]

    return run


@pytest.fixture
def folders(tmp_path):
    """a: half of what is meant, and pixels to be ignored; b: missing; c: only predicted."""
    save(tmp_path / "gt" / "a.png", np.array([[1, 1, 0, 255], [1, 1, 0, 255]], np.uint8))
    save(tmp_path / "gt" / "b.npy", LEFT)
    save(tmp_path / "pred" / "a.npy", np.array([[0.9, 0.1, 0, 0.9], [0.9, 0.1, 0, 0.9]], np.float32))
    save(tmp_path / "pred" / "c.png", LEFT)
    return tmp_path


def test_a_missing_mask_is_empty_and_one_too_many_is_left_out(folders, score, capsys):
    (row,) = score("masks")
    assert row["metrics"]["gIoU"] == 0.25  # a: 2 of 4; b: 0 of 4
    assert row["metrics"]["cIoU"] == 2 / 8
    assert (row["missing"], row["extra"], row["count"]) == (["b"], ["c"], 2)
    told = capsys.readouterr().err
    assert "1 predictions missing, counted as empty: b" in told and "without a truth, left out: c" in told


def test_every_case_has_a_line_of_its_own(folders, score):
    score("masks", "--each", str(folders / "each.csv"))
    head, first, second = (folders / "each.csv").read_text().splitlines()
    assert head.startswith("suite,id,missing,gIoU,cIoU,P@0.5")
    assert first.startswith("gt,a,0,0.5,0.5,1.0") and second.startswith("gt,b,1,0.0,0.0,0.0")


def test_the_names_of_the_reference_program_are_understood(folders):
    main(["masks", "--submission_dir", str(folders / "pred"), "--groundtruth_dir", str(folders / "gt")])


def test_another_size_is_an_error_unless_it_is_to_be_changed(folders, score):
    save(folders / "pred" / "b.png", LEFT.repeat(2, 0).repeat(2, 1) * 255)
    with pytest.raises(ValueError, match=r"b.png: expected the truth's size \(2, 4\).*found \(4, 8\); --resize"):
        score("masks")
    assert score("masks", "--resize")[0]["metrics"]["gIoU"] == 0.75


def test_logits_are_said_to_be_logits(folders, score):
    save(folders / "pred" / "b.npy", np.where(LEFT, 3.0, -3.0))
    with pytest.raises(ValueError, match="b.npy: expected probabilities within 0..1; --logits"):
        score("masks")
    (folders / "pred" / "a.npy").unlink()
    assert score("masks", "--logits")[0]["metrics"]["gIoU"] == 0.5  # a: missing


def test_a_grey_map_is_no_mask(folders, score):
    save(folders / "pred" / "b.png", np.arange(8, dtype=np.uint8).reshape(2, 4))
    with pytest.raises(ValueError, match="b.png: expected 0 and one other value, found 8"):
        score("masks")


def test_truths_of_0_and_255_are_noticed(tmp_path, score, capsys):
    save(tmp_path / "gt" / "a.png", LEFT * 255)
    save(tmp_path / "pred" / "a.png", LEFT * 255)
    score("masks")
    assert "--target 255" in capsys.readouterr().err
    assert score("masks", "--target", "255")[0]["metrics"]["gIoU"] == 1


def test_a_truth_of_other_values_is_an_error(folders, score):
    save(folders / "gt" / "b.npy", LEFT * 7)
    with pytest.raises(ValueError, match=r"b.npy: expected 0 .*found \[7\]"):
        score("masks")


def test_names_that_never_meet_are_an_error(folders, score):
    (folders / "pred" / "a.npy").rename(folders / "pred" / "a_mask.npy")
    with pytest.raises(ValueError, match="truths are called a, b, predictions a_mask"):
        score("masks")


def test_reason_annotations_are_truths_and_split_by_length(tmp_path, score):
    square = [[0, 0], [1, 0], [1, 1], [0, 1]]  # outlines belong to it: 2 x 2 pixels
    for name, long in (("a", True), ("b", False)):
        shapes = [{"label": "target", "points": square}, {"label": "ignore", "points": [[3, 0], [3, 1]]}]
        record = {"text": ["what?"], "is_sentence": long, "shapes": shapes, "imageHeight": 2, "imageWidth": 4}
        (tmp_path / "gt").mkdir(exist_ok=True)
        (tmp_path / "gt" / f"{name}.json").write_text(json.dumps(record))
    save(tmp_path / "pred" / "a.npy", np.array([[1, 1, 0, 1], [1, 1, 0, 1]], bool))
    save(tmp_path / "pred" / "b.png", np.array([[1, 0, 0, 0], [1, 0, 0, 0]], np.uint8))
    rows = {row["dataset"]: row["metrics"]["gIoU"] for row in score("masks")}
    assert rows == {"gt": 0.75, "gt/short": 0.5, "gt/long": 1}


def test_boxes_are_read_in_both_conventions(tmp_path, score):
    (tmp_path / "gt.json").write_text(json.dumps({"a": [0, 0, 2, 2], "b": [0, 0, 2, 2], "c": [0, 0, 2, 2]}))
    said = [{"id": "a", "bbox": [1, 0, 1, 2]}, {"id": "b", "box": None}, {"id": "d", "box": [0, 0, 1, 1]}]
    (tmp_path / "pred.json").write_text(json.dumps(said))
    (row,) = score("boxes", pred=tmp_path / "pred.json", gt=tmp_path / "gt.json")
    assert row["metrics"]["acc@0.5"] == pytest.approx(1 / 3) and row["missing"] == ["c"] and row["extra"] == ["d"]
    (tmp_path / "pred.jsonl").write_text("".join(json.dumps(one) + "\n" for one in said))
    assert score("boxes", pred=tmp_path / "pred.jsonl", gt=tmp_path / "gt.json")[0]["metrics"] == row["metrics"]
    (tmp_path / "pred.json").write_text("[[0, 0, 1, 1]]")
    with pytest.raises(ValueError, match="pred.json: expected a list of objects"):
        score("boxes", pred=tmp_path / "pred.json", gt=tmp_path / "gt.json")
    (tmp_path / "pred.json").write_text(json.dumps([{"id": "a", "box": [1, 2]}]))
    with pytest.raises(ValueError, match=r"pred.json: a: expected four numbers, found \[1, 2\]"):
        score("boxes", pred=tmp_path / "pred.json", gt=tmp_path / "gt.json")


def test_label_maps_give_every_class(tmp_path, score):
    save(tmp_path / "gt" / "x" / "a.png", np.array([[0, 0, 1, 255]], np.uint8))
    save(tmp_path / "gt" / "x" / "b.png", np.array([[1, 1, 1, 1]], np.uint8))
    save(tmp_path / "pred" / "x" / "a.png", np.array([[0, 1, 1, 0]], np.uint8))
    (tmp_path / "names.txt").write_text("wall\nfloor\n")
    (row,) = score("semantic", "--names", str(tmp_path / "names.txt"))
    assert row["classes"]["wall"] == {"IoU": 0.5, "accuracy": 0.5, "pixels": 2}
    assert row["classes"]["floor"] == {"IoU": 1 / 6, "accuracy": 1 / 5, "pixels": 5}  # the missing map says nothing
    assert row["metrics"]["mIoU"] == pytest.approx(1 / 3) and row["missing"] == ["x/b"]
    with pytest.raises(ValueError, match="expected --classes K"):
        score("semantic")


def test_a_missing_saliency_map_is_black(tmp_path, score):
    save(tmp_path / "gt" / "a.png", LEFT * 255)
    save(tmp_path / "gt" / "b.png", LEFT * 255)
    save(tmp_path / "pred" / "a.png", LEFT * 255)
    (row,) = score("salient")
    assert row["metrics"]["MAE"] == 0.25 and row["missing"] == ["b"]


def test_texts_are_matched_by_their_ids(tmp_path, score):
    truths = [{"image_id": i, "caption": f"a {word} on a mat"} for i, word in enumerate(("cat", "dog"))]
    (tmp_path / "gt.json").write_text(json.dumps({"annotations": truths}))
    said = [{"image_id": 0, "caption": "a cat on a mat"}, {"image_id": 9, "caption": "a cow"}]
    (tmp_path / "pred.json").write_text(json.dumps(said))
    (row,) = score("captions", pred=tmp_path / "pred.json", gt=tmp_path / "gt.json")
    assert row["metrics"]["ROUGE-L"] == 0.5 and row["missing"] == ["1"] and row["extra"] == ["9"]
    (tmp_path / "pred.json").write_text(json.dumps(said[:1] * 2))
    with pytest.raises(ValueError, match="pred.json: image_id 0 stands twice"):
        score("captions", pred=tmp_path / "pred.json", gt=tmp_path / "gt.json")


def test_what_is_lacking_is_said(tmp_path):
    with pytest.raises(ValueError, match="ullava score masks: expected --pred and --gt"):
        main(["masks"])
    with pytest.raises(FileNotFoundError, match="gt: no such folder"):
        main(["masks", "--pred", str(tmp_path), "--gt", str(tmp_path / "gt")])
