"""Reasoning segmentation from files to scores: ReasonSeg by hand, answers by hand, scores by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.structures import Answer
from ullava.evaluation.evaluator import evaluate

LEFT = np.zeros((4, 8), bool)
LEFT[:, :4] = True
COLUMN = LEFT.copy()
COLUMN[:, :2] = False  # two columns of the target
HALF, FIRST_ROW = [[0, 0], [3, 0], [3, 3], [0, 3]], [[0, 0], [3, 0]]


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Two pictures: one asked for by phrases, with a row of unclear pixels in its target; one by a sentence, empty."""
    folder = tmp_path / "reason_seg/train"
    folder.mkdir(parents=True)
    records = {
        "short": {"text": ["left half", "half"], "is_sentence": False, "shapes": [
            {"label": "target", "points": HALF}, {"label": "ignore", "points": FIRST_ROW}]},
        "long": {"text": ["Where is nothing?"], "is_sentence": True, "shapes": []},
    }  # fmt: skip
    for name, record in records.items():
        Image.new("RGB", (8, 4)).save(folder / f"{name}.png")
        (folder / f"{name}.json").write_text(json.dumps(record))
    told = [{"image": "short.png", "query": "left half", "outputs": "It is the left half.", "keyword": "half"}]
    (tmp_path / "told.json").write_text(json.dumps(told))
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path))
    entry = {"reader": "reason_seg", "folder": "reason_seg", "split": "train", "explanations": "told.json"}
    return {"toy": entry} | {f"toy_{kind}": entry | {"only": kind} for kind in ("short", "long")}


class Says:
    """Says one thing and shows one mask, whatever it is asked."""

    generation = GenerationConfig(batch_size=2)

    def __init__(self, text, *masks):
        self.text, self.masks, self.asked = text, masks, []

    def __call__(self, dialogues, *, given):
        self.asked += [dialogue.turns[0].question for dialogue in dialogues]
        return [Answer(self.text, {"mask": tuple(np.float32(mask) for mask in self.masks)}) for _ in dialogues]


def score(own, says, tmp_path, **row):
    row = EvaluationRow(**{"dataset": "toy", "task": "reasoning"} | row)
    return evaluate([row], says, own=own, output=tmp_path / "out", run={}, progress=False)["rows"][0]["metrics"]


def test_the_first_text_of_each_picture_is_asked(dataset, tmp_path):
    says = Says("[SEG].", LEFT)
    score(dataset, says, tmp_path)
    assert sorted(says.asked) == [
        "What is left half in this image? Please output segmentation mask.",
        "Where is nothing? Please output segmentation mask.",
    ]


def test_unclear_pixels_count_nowhere(dataset, tmp_path):
    """Of the target 3 rows of 4 count: two columns are 6 of 12 pixels, whether the unclear row is claimed or not."""
    short = {"dataset": "toy_short"}
    assert score(dataset, Says("[SEG].", COLUMN), tmp_path, **short)["gIoU"] == 0.5
    claims = COLUMN.copy()
    claims[0, :4] = True
    assert score(dataset, Says("[SEG].", claims), tmp_path, **short)["gIoU"] == 0.5
    assert score(dataset, Says("[SEG].", LEFT), tmp_path, **short)["cIoU"] == 1


def test_nothing_is_right_where_nothing_is(dataset, tmp_path):
    assert score(dataset, Says("[SEG].", LEFT & ~LEFT), tmp_path, dataset="toy_long")["gIoU"] == 1
    assert score(dataset, Says("[SEG].", LEFT), tmp_path)["gIoU"] == 0.5  # overall: short 1, long 0


def test_explanations_are_held_against_the_name(dataset, tmp_path):
    """One picture has a name; "unparseable" keeps its own count."""
    explain = {"options": {"explain": True}}
    found = score(dataset, Says("Sure, [SEG]. The half at the left.", LEFT), tmp_path, **explain)
    assert found["names_object"] == 1 and found["emission"] == 1 and found["unparseable"] == 0
    found = score(dataset, Says("[SEG] for the whole", LEFT), tmp_path, **explain)
    assert found["names_object"] == 0 and found["unparseable"] == 1
    assert "names_object" not in score(dataset, Says("[SEG].", LEFT), tmp_path)


def test_lines_are_scored_again_without_a_model(dataset, tmp_path):
    from ullava.evaluation.score.score import main

    row = {"options": {"explain": True}, "dataset": "toy_short"}
    before = score(dataset, Says("It is [SEG]. A half.", COLUMN), tmp_path, **row)
    main(["predictions", "--pred", str(tmp_path / "out/predictions.jsonl"), "--out", str(tmp_path / "again.json")])
    (again,) = json.loads((tmp_path / "again.json").read_text())["rows"]
    assert again["metrics"] == before and before["names_object"] == 1
