"""What opens a row of an evaluation: whatever would end it later is told at once."""

from pathlib import Path

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Picture, Region, Sample, Turn
from ullava.evaluation.engine import questions
from ullava.evaluation.engine.generation_options import generation_faults
from ullava.evaluation.engine.opening import open_row
from ullava.evaluation.evaluator import open_evaluation, open_rows
from ullava.evaluation.metrics.base import METRICS
from ullava.evaluation.metrics.label_maps import LabelMaps

PACKED = encode(np.ones((4, 8), bool))
SAMPLES = [
    Sample(f"toy/{name}", (Picture(Path(f"{name}.png"), (4, 8)),),
           (Region(("it",), "it", mask=RunLengths((4, 8), PACKED["counts"])),), turns=(Turn("What is it?", "a cat"),))
    for name in "ab"
]  # fmt: skip


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    def open_dataset(name, task, own):
        if name != "toy":
            raise LookupError(f"no dataset {name!r}; did you mean 'toy'? there are: toy")
        return SAMPLES

    monkeypatch.setattr(questions, "open_dataset", open_dataset)


def row(**changes) -> EvaluationRow:
    return EvaluationRow(**{"dataset": "toy", "task": "res"} | changes)


def test_an_opened_row_holds_its_questions_and_its_scores():
    opened = open_row(row(limit=1), {}, heads=("mask", "box"))
    assert [question.meant.id for question in opened.questions] == ["toy/a#0"] == [
        question.meant.id for question in opened.all_questions()
    ]  # fmt: skip
    assert {"gIoU", "acc@0.5", "emission"} <= opened.score_names()


def test_all_faults_of_a_row_come_at_once():
    with pytest.raises(ValueError) as caught:
        open_row(row(dataset="toi", metrics=("mask_iuo",), boxes="bux"), {}, heads=())
    lines = str(caught.value).splitlines()
    assert [line[:14] for line in lines] == ["no metric 'mas", "no dataset 'to", "task res says "]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": "bux"}, "no box source 'bux'; did you mean 'box'"),
        ({"boxes": "detector"}, "boxes: detector: the model has no detector head"),
        ({"task": "vqa", "metrics": ("generalised_iou",)}, "generalised_iou reads masks, which answers of task vqa do"),
        ({"shuffled": True, "limit": 1}, "a shuffled row needs two different pictures"),
        ({"trivial": "toi"}, "trivial: no dataset 'toi'; did you mean 'toy'"),
        ({"boxes": {"grounding": {"weights": "nowhere"}}}, "boxes.grounding.weights: nowhere: no such file"),
    ],
)
def test_what_would_end_the_row_later_is_told_when_it_opens(changes, message):
    with pytest.raises((ValueError, LookupError, OSError), match=message):
        open_evaluation(row(**changes), {}, GenerationConfig(), ("mask", "box"))


def test_a_metric_that_reads_what_no_answer_holds_is_refused(monkeypatch):
    monkeypatch.setitem(METRICS, "label_maps", LabelMaps)
    with pytest.raises(ValueError, match="metrics: label_maps reads labels, which no answer holds"):
        open_row(row(metrics=("label_maps",)), {})


def test_scores_are_known_by_the_names_that_best_takes():
    names = open_rows([row(), row(shuffled=True), row(trivial="toy")], {}, GenerationConfig(), ("mask", "box"))
    assert {"toy/res/gIoU", "toy_shuffled/res/gIoU", "toy_trivial/res/gIoU"} <= names
    assert "toy_trivial/res/emission" not in names  # a baseline writes nothing itself


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repetition_penality": 1.2}, "no option 'repetition_penality'; did you mean 'repetition_penalty'?"),
        ({"repetition_penalty": "much"}, "transformers refuses"),
        ({"num_return_sequences": 2}, "'num_return_sequences' is set by the answerer"),
        ({"max_length": 9}, "'max_length' is set by max_new_tokens"),
        ({"custom_generate": "somebody/code"}, "no option 'custom_generate'"),
    ],
)
def test_a_wrong_generation_option_is_told_with_its_cure(options, message):
    (fault,) = generation_faults(GenerationConfig(options=options))
    assert message in fault and fault.startswith("generation")
    with pytest.raises(ValueError, match="generation"):
        open_rows([], {}, GenerationConfig(options=options))


@pytest.mark.parametrize("how", [{}, {"options": {"repetition_penalty": 1.2}}, {"num_beams": 2}, {"temperature": 0.7}])
def test_right_generation_options_pass(how):
    assert not list(generation_faults(GenerationConfig(**how)))
