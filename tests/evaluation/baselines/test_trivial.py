"""Baselines on toys small enough to say by hand what they must reach."""

from pathlib import Path

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Picture, Region, Sample, Turn
from ullava.evaluation.baselines import masks as blind_masks
from ullava.evaluation.baselines.base import BASELINES
from ullava.evaluation.baselines.masks import best_box, best_cut
from ullava.evaluation.baselines.trivial import evaluate_trivial, open_trivial
from ullava.evaluation.baselines.words import stems
from ullava.evaluation.engine import questions
from ullava.evaluation.engine.opening import open_row

SIZE = (4, 8)
OWN = {"toy_test": {}}  # the catalogue entry that a baseline may ask for its attributes


def mask(rows: slice, columns: slice) -> RunLengths:
    drawn = np.zeros(SIZE, bool)
    drawn[rows, columns] = True
    packed = encode(drawn)
    return RunLengths(SIZE, packed["counts"])


LEFT, RIGHT, ALL = (mask(slice(4), columns) for columns in (slice(0, 4), slice(4, 8), slice(0, 8)))
MIDDLE = mask(slice(1, 3), slice(2, 6))


def sample(name: str, *regions: Region, turns=()) -> Sample:
    return Sample(name, (Picture(Path(f"{name}.png"), SIZE),), regions, turns=turns)


def region(name: str, drawn) -> Region:
    return Region((name,), name, mask=drawn)


@pytest.fixture
def score(monkeypatch):
    """Scores the baselines of a task on `eval_dialogues`, learned from `lessons`."""

    def of(task, eval_dialogues, lessons, *, maps=None, **row):
        def open_dataset(name, wanted, own):
            if wanted != task and maps is None:
                raise LookupError("no maps")
            return maps if wanted != task else lessons if name.endswith("train") else eval_dialogues

        monkeypatch.setattr(questions, "open_dataset", open_dataset)
        monkeypatch.setattr(blind_masks, "open_dataset", open_dataset)
        asked = EvaluationRow(**{"dataset": "toy_test", "task": task, "trivial": "toy_train"} | row)
        generation = GenerationConfig()
        return evaluate_trivial(open_trivial(open_row(asked, OWN), generation, OWN))

    return of


def test_the_mask_of_all_objects_overlaps_each_by_its_share(score):
    both = sample("a", region("one", LEFT), region("other", RIGHT))
    row, every = score("res", [both], [both], options={"says": ["SEG"]})
    assert every["scores"]["all_objects"]["gIoU"] == 0.5  # each is half of both
    assert row["dataset"] == "toy_test_trivial" and row["answers"] == "given" and row["count"] == 2
    assert "emission" not in row["metrics"]  # it wrote nothing itself
    assert every["by"] == "gIoU" and every["learned_from"] == "toy_train"


def test_a_class_prior_knows_where_its_class_was(score):
    lessons = [sample("a", region("sky", LEFT), region("road", RIGHT))] * 3
    row, every = score("semantic", [sample("b", region("sky", LEFT), region("road", RIGHT))], lessons)
    assert every["strongest"] == "class_prior" and row["metrics"]["mIoU"] == 1
    assert every["scores"]["all_objects"]["mIoU"] == 0.5
    # A class that training never showed is answered by an empty mask.
    _, every = score("semantic", [sample("b", region("sea", LEFT), region("road", RIGHT))], lessons)
    assert every["scores"]["class_prior"]["mIoU"] == 0.5


@pytest.mark.parametrize("task", ["salient", "reasoning"])
def test_the_one_object_of_a_sample_is_never_its_own_baseline(score, task):
    lessons = [sample(str(i), region("it", drawn)) for i, drawn in enumerate([LEFT, LEFT, LEFT, RIGHT])]
    eval_dialogues = [sample("d", region("it", LEFT))]
    _, every = score(task, eval_dialogues, lessons)
    assert list(every["scores"]) == ["mean_mask"]  # no label maps, so nobody knows the other objects
    assert every["scores"]["mean_mask"]["gIoU"] == 1  # most are at the left: IoU .6 there, .5 all over
    maps = [sample("d", region("square", LEFT), region("ring", RIGHT))]
    _, every = score(task, eval_dialogues, lessons, maps=maps)
    assert every["scores"]["all_objects"]["gIoU"] == 0.5


def test_the_constant_box_is_the_one_that_most_training_boxes_agree_with(score):
    lessons = [sample(str(i), region("it", drawn)) for i, drawn in enumerate([MIDDLE, MIDDLE, LEFT])]
    row, _ = score("rec", [sample("x", region("it", MIDDLE)), sample("y", region("it", RIGHT))], lessons)
    assert row["metrics"]["acc@0.5"] == 0.5 and row["boxes"] is None


def test_the_best_box_is_searched_beyond_the_grid():
    truths = np.array([[0.123, 0.2, 0.61, 0.9]] * 3)
    found = best_box(truths)
    assert np.abs(found - truths[0]).max() < 1e-6  # the median itself is a candidate
    spread = np.array([[0.0, 0.0, 0.4, 0.4]] * 3 + [[0.6, 0.6, 1.0, 1.0]] * 4)
    assert np.abs(best_box(spread) - spread[-1]).max() < 1e-6


def test_cells_are_cut_where_the_overlap_is_best():
    # Shares 1, .5, .1: IoU of 1, 2, 3 cells = 1/1.6, 1.5/2.1, 1.6/3: two cells.
    assert best_cut(np.array([[0.5, 1.0, 0.1]], np.float32)) == pytest.approx(0.3)  # between .5 and .1
    assert best_cut(np.zeros((2, 2), np.float32)) == 1


def test_the_majority_answers_questions_that_begin_alike(score):
    def turns(*pairs):
        return tuple(Turn(question, answer) for question, answer in pairs)

    lessons = [
        sample(str(i), turns=turns(("What color is the ring?", "red" if i < 8 else "blue"), ("Is there a cat?", "no")))
        for i in range(12)
    ]
    asked = turns(("What color is the cross?", "red"), ("Is there a dog?", "yes"), ("Who?", "no"))
    row, every = score("vqa", [sample("x", turns=asked)], lessons)
    assert every["strongest"] == "majority_answer"
    assert row["metrics"]["accuracy"] == pytest.approx(2 / 3)  # red is right, no is wrong, no (the commonest) is right


def test_stems_grow_shorter():
    assert stems("What is it?") == [("what", "is", "it"), ("what", "is"), ("what",), ()]


def test_a_caption_of_another_picture_is_never_the_own_one(score):
    def told(name):
        return sample(name, turns=(Turn("", f"a picture of {name}{name}"),))

    eval_dialogues = [told(name) for name in "abcdefghij"]
    row, every = score("captioning", eval_dialogues, eval_dialogues)
    assert list(every["scores"]) == ["another_caption"]
    assert row["metrics"]["BLEU-1"] == pytest.approx(3 / 4)  # "a picture of" and another name, ten times


def test_random_attributes_keep_the_number_of_things(score):
    scene = sample("a", turns=(Turn("", "a small red ring and a large dotted blue circle"),))
    other = sample("b", turns=(Turn("", "nothing here"),))
    _, every = score("captioning", [scene], [scene, other], dataset="tiny_test", trivial="tiny_train")
    assert 0 < every["scores"]["random_attributes"]["BLEU-1"] <= 1
    assert every["strongest"] in ("random_attributes", "another_caption")


def test_a_task_without_baseline_says_so(score, monkeypatch):
    monkeypatch.delitem(BASELINES, "constant_box")
    both = sample("a", region("one", LEFT))
    with pytest.raises(LookupError, match="trivial: task 'rec' has no trivial baseline; .*captioning"):
        score("rec", [both], [both])


def test_keywords_and_parts_have_the_baselines_of_masks(score):
    both = sample("a", region("one", LEFT), region("other", RIGHT))
    _, every = score("keyword", [both], [both])
    assert every["scores"]["all_objects"]["gIoU"] == 0.5 and "keyword_acc" not in every["scores"]["all_objects"]
    parts = sample("a", region("tip of the pen", LEFT), region("stem of the pen", RIGHT))
    _, every = score("part", [parts], [parts])
    assert every["scores"]["all_objects"]["gIoU"] == 0.5


def test_a_task_that_says_boxes_alone_has_the_baseline_of_boxes(score):
    lessons = [sample(str(i), region("it", MIDDLE)) for i in range(3)]
    _, every = score("res", lessons, lessons, options={"says": ["LOC"]})
    assert every["by"] == "acc@0.5" and every["scores"] == {"constant_box": every["scores"]["constant_box"]}
    assert every["scores"]["constant_box"]["acc@0.5"] == 1


def test_baselines_without_a_score_are_refused_before_they_learn(score):
    one = [sample(str(i), region("it", MIDDLE)) for i in range(3)]
    with pytest.raises(ValueError, match="trivial: the baselines of task 'salient' give a box, which none of"):
        score("salient", one, one, options={"says": ["LOC"]})
    caption = [sample("a", turns=(Turn("", "a picture"),))]
    with pytest.raises(ValueError, match="trivial: toy_train: expected captions of at least two pictures, found one"):
        score("captioning", caption, caption)


def test_every_class_is_called_there_where_it_usually_is(score):
    lesson = Sample("a", (Picture(Path("a.png"), SIZE),), (region("cat", LEFT), region("dog", RIGHT)))
    exam = Sample("b", (Picture(Path("b.png"), SIZE),), (region("cat", LEFT),), absent=("dog",))
    row, _ = score("multi_target", [exam], [lesson])
    # The cat is right, the dog is drawn and nowhere: IoU 1 and 0; one of two names is right, none is missed.
    assert row["metrics"]["mIoU"] == 0.5 and row["metrics"]["presence_F1"] == pytest.approx(2 / 3)
