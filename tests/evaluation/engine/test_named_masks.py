"""Answers that name what they show, as one label map: each case against what can be counted by hand."""

import json

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Answer, Picture, Region, Sample
from ullava.evaluation.engine import questions
from ullava.evaluation.engine.named_masks import one_class_a_pixel
from ullava.evaluation.engine.rows import batches_of
from ullava.evaluation.evaluator import evaluate
from ullava.evaluation.score.score import main as score_files

# wall, wall, sky, sky / wall, wall, void, void; a dog and a boat are nowhere.
LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
TOP = np.array([[1, 1, 1, 1], [0, 0, 0, 0]], bool)
SKY, VOID = TOP & ~LEFT, ~TOP & ~LEFT


def mask(drawn):
    packed = encode(drawn)
    return RunLengths(tuple(packed["size"]), packed["counts"])


def sample(number=0):
    regions = (Region(category="wall", mask=mask(LEFT)), Region(category="sky", mask=mask(SKY)))
    media = (Picture(f"{number}.png", (2, 4)),)
    return Sample(f"toy/{number}", media, regions, absent=("dog", "boat"), ignored=mask(VOID))


class Numbered(list):
    """Samples of a dataset that numbers its classes."""

    names = {1: "wall", 2: "sky", 3: "dog", 4: "boat"}


class Says:
    """Answers by the number of the question, each [SEG] with the next of its masks."""

    def __init__(self, *answers, batch_size=2):
        self.answers, self.generation = answers, GenerationConfig(batch_size=batch_size)
        self.asked = []

    def __call__(self, dialogues, *, given):
        self.asked.append([dialogue.id for dialogue in dialogues])
        found = [self.answers[int(dialogue.id.rpartition("#")[2])] for dialogue in dialogues]
        return [Answer(text, {"mask": tuple(np.float32(one) for one in masks)}) for text, *masks in found]


@pytest.fixture
def score(monkeypatch, tmp_path):
    def run(answerer, samples=None, **row):
        monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: samples or Numbered([sample()]))
        row = EvaluationRow(**{"dataset": "toy", "task": "multi_target"} | row)
        return evaluate([row], answerer, own={}, output=tmp_path, run={}, progress=False)["rows"][0]["metrics"]

    return run


def test_masks_find_their_classes_by_name_whatever_the_order(score):
    found = score(Says(("sky[SEG]dog[NEG]wall[SEG]boat[NEG]", 0.9 * SKY, 0.9 * LEFT)))
    assert found["mIoU"] == found["pixel_acc"] == found["presence_F1"] == found["emission"] == 1


def test_a_pixel_belongs_to_the_class_that_is_surest_of_it():
    masks = {"wall": np.array([[0.9, 0.6, 0.4]]), "sky": np.array([[0.7, 0.8, 0.5]])}
    owned = one_class_a_pixel(masks, (1, 3))
    assert owned["wall"].tolist() == [[True, False, False]]
    assert owned["sky"].tolist() == [[False, True, False]]  # the third is sure of nothing: .5 is no more than chance


def test_what_nobody_claims_is_missed_and_what_is_ignored_counts_nowhere(score):
    found = score(Says(("wall[SEG]sky[SEG]", LEFT & TOP, SKY | VOID)))
    # wall: 2 of 4 pixels; sky: 2 of 2, its two others are void.
    assert found["mIoU"] == pytest.approx((2 / 4 + 1) / 2)
    assert found["pixel_acc"] == pytest.approx(4 / 6)


def test_a_class_that_is_said_and_not_there_is_wrong_wherever_it_is_drawn(score):
    found = score(Says(("wall[SEG]sky[SEG]dog[SEG]boat[NEG]", 0.6 * LEFT, 0.9 * SKY, 0.8 * (LEFT & TOP))))
    # wall keeps 2 of 4, sky 2 of 2, dog 0 of 2: mean of three classes. dog is one false name beside two right ones.
    assert found["mIoU"] == pytest.approx((2 / 4 + 1 + 0) / 3)
    assert found["presence_precision"] == pytest.approx(2 / 3) and found["presence_recall"] == 1
    assert found["emission"] == 1  # four names, four tokens: which is which is the model's to say


def test_a_class_that_is_missed_counts_0(score):
    found = score(Says(("wall[SEG]sky[NEG]", LEFT)))
    assert found["mIoU"] == pytest.approx((1 + 0) / 2) and found["presence_recall"] == 0.5
    assert found["emission"] == 0 and found["unparseable"] == 0  # two names of four were left out


def test_names_that_nobody_asked_for_show_nothing(score):
    found = score(Says(("wall[SEG]sky[SEG]zebra[SEG]", LEFT, SKY, np.ones((2, 4)))))
    assert found["mIoU"] == 1 and found["presence_precision"] == pytest.approx(2 / 3)


def test_names_are_matched_by_their_spelling_where_the_row_says_so(score):
    model = Says(("walls[SEG]sky[SEG]", LEFT, SKY))
    assert score(model)["mIoU"] == 0.5
    found = score(model, options={"spelling": 0.8})
    assert found["mIoU"] == 1 and found["presence_F1"] == 1


def test_an_answer_that_was_cut_short_is_scored_and_counted(score):
    found = score(Says(("wall[SEG]sky", LEFT)))
    assert found["unparseable"] == 1 and found["mIoU"] == pytest.approx((1 + 0) / 2)


def test_a_model_that_says_nothing_scores_0(score):
    found = score(Says(("",)))
    assert (found["mIoU"], found["pixel_acc"], found["presence_F1"], found["unparseable"]) == (0, 0, 0, 1)


def test_the_answers_to_all_questions_about_a_picture_are_one_map(score):
    # boat, dog / sky, wall: the dog of the first answer is surer of the left half's top row than the wall.
    model = Says(("boat[NEG]dog[SEG]", 0.8 * (LEFT & TOP)), ("sky[SEG]wall[SEG]", 0.9 * SKY, 0.6 * LEFT))
    found = score(model, options={"exam_classes": 2})
    assert found["mIoU"] == pytest.approx((2 / 4 + 1 + 0) / 3)


def test_the_questions_about_a_picture_are_marked_together(score):
    model = Says(("boat[NEG]dog[NEG]",), ("sky[SEG]wall[SEG]", SKY, LEFT), batch_size=3)
    found = score(model, Numbered([sample(0), sample(1)]), options={"exam_classes": 2})
    assert found["mIoU"] == 1
    assert model.asked == [["toy/0#0", "toy/0#1"], ["toy/1#0", "toy/1#1"]]  # never torn, never more than three at once


def test_more_questions_than_a_batch_holds_are_asked_in_several():
    class Asked:
        def __init__(self, name):
            self.meant = self
            self.sample = self
            self.id = name

    asked = [Asked("a"), Asked("b"), Asked("b"), Asked("b"), Asked("c")]
    assert batches_of(asked, range(5), 2, whole=True) == [[0], [1, 2, 3], [4]]
    assert batches_of(asked, range(5), 2, whole=False) == [[0, 1], [2, 3], [4]]


def test_lasagna_gives_class_0_what_nobody_claims_and_takes_any_name(score):
    model = Says(("skies[SEG]", SKY))
    found = score(model, protocol="lasagna")
    # Unclaimed are the left half and the void: the wall, as the void is in the truth. "skies" is spelt most like "sky".
    assert found["mIoU"] == 1 and found["presence_recall"] == 0.5
    assert score(model)["mIoU"] == 0


def test_predictions_are_scored_again_without_a_model(score, tmp_path, capsys):
    found = score(Says(("wall[SEG]sky[SEG]dog[SEG]boat[NEG]", 0.6 * LEFT, 0.9 * SKY, 0.8 * (LEFT & TOP))))
    (line,) = map(json.loads, (tmp_path / "predictions.jsonl").read_text().splitlines())
    assert line["truth"]["names"] == ["sky", "wall", "dog"] and line["predicted"]["there"] == ["wall", "sky", "dog"]
    score_files(["predictions", "--pred", str(tmp_path / "predictions.jsonl"), "--out", str(tmp_path / "again.json")])
    capsys.readouterr()
    again = json.loads((tmp_path / "again.json").read_text())["rows"][0]["metrics"]
    assert {name: again[name] for name in found} == pytest.approx(found)


def test_a_shuffled_row_brings_masks_to_the_size_of_what_is_meant(score):
    big = np.kron(LEFT, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"toy/0#0: expected a mask of size \(2, 4\), as the annotation's, found"):
        score(Says(("wall[SEG]", big)))
    found = score(Says(("wall[SEG]sky[NEG]", big)), Numbered([sample(0), sample(1)]), shuffled=True)
    assert found["mIoU"] == pytest.approx((1 + 0) / 2)
