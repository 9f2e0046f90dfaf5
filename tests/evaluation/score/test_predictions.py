"""A run's own predictions.jsonl gives its results.json again, whatever its metrics read."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Answer, Picture, Region, Sample, Turn
from ullava.evaluation.engine import questions
from ullava.evaluation.engine.results import read_results
from ullava.evaluation.evaluator import evaluate
from ullava.evaluation.score.score import main

SIZE = (6, 8)


@dataclass
class Drawing:
    """Draws another soft mask and box for each question, and now and then says nothing."""

    generation = GenerationConfig(batch_size=3)

    def __call__(self, dialogues, *, given):
        return [self.answer(dialogue) for dialogue in dialogues]

    def answer(self, dialogue):
        rng = np.random.default_rng(len(dialogue.sample.media[0].path) + sum(map(ord, dialogue.id)))
        if rng.random() < 0.2:
            return Answer("nothing")
        box = tuple(float(side) for side in np.sort(rng.uniform(0, 6, (2, 2)), axis=0).ravel())
        return Answer(dialogue.turns[-1].answer, {"mask": (rng.random(SIZE, np.float32),), "box": (box,)})


def mask(rng):
    packed = encode(rng.random(SIZE) > 0.6)
    return RunLengths(tuple(packed["size"]), packed["counts"])


@pytest.fixture
def toy(monkeypatch):
    """Nine questions about six pictures, with two classes, and pixels to be ignored in every third sample."""
    rng = np.random.default_rng(0)
    samples = {name: [] for name in ("plain", "partly")}
    for i in range(9):
        region = Region(("the thing",), ("cat", "dog")[i % 2], mask=mask(rng))
        turns = (Turn("What?", ("a cat", "two dogs")[i % 2]),)
        picture = Picture(f"{i // 3 * 2 + i % 2}.png", SIZE)
        samples["plain"].append(Sample(f"plain/{i}", (picture,), (region,), turns=turns))
        ignored = mask(rng) if i % 3 == 0 else None
        samples["partly"].append(Sample(f"partly/{i}", (picture,), (region,), ignored=ignored))
    monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: samples[name])


ROWS = [
    {"dataset": "partly", "task": "res", "options": {"says": ["SEG"]}},
    {"dataset": "plain", "task": "res"},
    {"dataset": "plain", "task": "res", "boxes": "mask2box"},
    {"dataset": "plain", "task": "rec"},
    {"dataset": "plain", "task": "salient", "options": {"says": ["SEG"]}},
    {"dataset": "partly", "task": "semantic", "options": {"says": ["SEG"]}},
    {"dataset": "plain", "task": "vqa"},
    {"dataset": "plain", "task": "vqa", "metrics": ["vqa_set"]},
    {"dataset": "partly", "task": "res", "metrics": ["generalised_iou", "presence"]},
    {"dataset": "plain", "task": "res", "shuffled": True},
    {"dataset": "plain", "task": "res", "answers": "given", "protocol": "ullava"},
]


@pytest.fixture
def run(toy, tmp_path):
    rows = [EvaluationRow(**row) for row in ROWS]
    evaluate(rows, Drawing(), own={}, output=tmp_path / "run", run={}, progress=False)
    return tmp_path / "run"


def scored(*arguments, out):
    main(["predictions", *map(str, arguments), "--out", str(out)])
    return read_results(out)["rows"]


def same(row):
    return {key: value for key, value in row.items() if key not in ("seconds", "missing", "extra", "classes")}


def test_predictions_give_the_results_of_their_run_again(run, tmp_path):
    found, results = scored("--pred", run / "predictions.jsonl", out=tmp_path / "again.json"), run / "results.json"
    assert [same(row) for row in found] == [same(row) for row in read_results(results)["rows"]]
    assert all(row["missing"] == row["extra"] == [] for row in found)
    assert found[4]["metrics"]["maxF"] != found[4]["metrics"]["adpF"]  # graded, not cut
    assert set(found[5]["classes"]) == {"cat", "dog"}
    assert read_results(results)["run"]["classes"] == {"partly/semantic/generated": found[5]["classes"]}


def test_soft_masks_lie_beside_their_line_only_where_a_metric_reads_them(run):
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    soft = [line for line in lines if "soft" in line["predicted"]]
    assert {line["task"] for line in soft} == {"salient"}
    named = {path for line in soft for path in line["predicted"]["soft"] if path}
    assert named == {f"predictions_soft/{path.name}" for path in (run / "predictions_soft").iterdir()}


def test_a_missing_line_counts_as_an_empty_answer_and_is_listed(run, tmp_path):
    lines = (run / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "part.jsonl").write_text("".join(lines[1:]))
    part, truth = tmp_path / "part.jsonl", run / "predictions.jsonl"
    (tmp_path / "predictions_soft").symlink_to(run / "predictions_soft")
    row = scored("--pred", part, "--gt", truth, out=tmp_path / "out.json")[0]
    assert row["missing"] == [json.loads(lines[0])["id"]] and row["count"] == 9
    before = read_results(run / "results.json")["rows"][0]
    assert row["metrics"]["gIoU"] <= before["metrics"]["gIoU"]
    assert row["metrics"]["unparseable"] == pytest.approx(before["metrics"]["unparseable"] + 1 / 9)


def test_a_line_that_does_not_say_so_is_scored_as_its_task_is(tmp_path):
    drawn = encode(np.ones(SIZE, bool))
    line = {"id": "a#0", "dataset": "d", "task": "res", "answers": "given", "question": "?", "answer": "[SEG]"}
    line |= {"truth": {"masks": [drawn], "boxes": [], "text": None}, "predicted": {"masks": [drawn]}, "metrics": {}}
    (tmp_path / "plain.jsonl").write_text(json.dumps(line))
    (row,) = scored("--pred", tmp_path / "plain.jsonl", out=tmp_path / "out.json")
    assert row["metrics"]["gIoU"] == 1 and "emission" not in row["metrics"]


def test_a_line_without_what_is_needed_is_named(tmp_path):
    (tmp_path / "old.jsonl").write_text('{"id": "a", "dataset": "d", "task": "res", "answers": "given"}\n')
    with pytest.raises(ValueError, match=r"old.jsonl:1: expected 'answer', found 'id', 'dataset'"):
        main(["predictions", "--pred", str(tmp_path / "old.jsonl")])
