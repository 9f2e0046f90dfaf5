"""LaSagnA's questions about real label maps, from the files to the scores: CamVid, COCO's semantic maps, ADE20K."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.shared import SHARED
from ullava.configs.schema import RunConfig
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.structures import Answer
from ullava.evaluation.evaluator import evaluate
from ullava.tasks.base import TASKS

ROOT = Path(__file__).parents[1]
SETS = {"camvid_train": "camvid_test", "coco128_train": "coco128_val"}  # what is trained on, what is scored
SCORES = {"mIoU", "pixel_acc", "presence_precision", "presence_recall", "presence_F1", "emission", "unparseable"}

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not (SHARED / "realdata").is_dir(), reason=f"{SHARED} is not here ($ULLAVA_SHARED)"),
]


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAVA_SHARED", str(SHARED))
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", [*SETS, *SETS.values(), "ade20k_sample"])
def test_every_picture_asks_for_its_whole_vocabulary(name):
    reader, task = open_dataset(name, "multi_target"), TASKS.build("multi_target", {})
    known = sorted(label.lower() for label in reader.names.values())
    for sample in reader:
        (exam,) = task.eval_dialogues(sample)
        assert list(task.read(exam.turns[0].answer).names) == known
        there = {one.category.lower() for one in sample.regions}
        assert {promise.region.category for promise in exam.promises} == there
        dialogue = task.dialogue(sample, np.random.default_rng(0))
        assert len(task.read(dialogue.turns[0].answer).names) == min(80, len(known))


class Knows:
    """Says and draws the truth."""

    def __init__(self, generation):
        self.generation = generation

    def __call__(self, dialogues, *, given):
        masks = [[np.float32(one.region.mask.draw()) for one in dialogue.promises] for dialogue in dialogues]
        return [
            Answer(dialogue.turns[0].answer, {"mask": tuple(drawn)})
            for dialogue, drawn in zip(dialogues, masks, strict=True)
        ]


@pytest.mark.parametrize("name", SETS.values())
def test_who_knows_everything_scores_1(name):
    config = RunConfig.model_validate(
        {"output_dir": "", "model": {"llm": ""}, "learn": {}, "data": [{"dataset": name, "task": "multi_target"}],
         "evaluate": [{"dataset": name, "task": "multi_target", "options": {"exam_classes": 20}}]}
    )  # fmt: skip
    results = evaluate(config.evaluate, Knows(config.generation), own={}, run={}, progress=False)
    scores = results["rows"][0]["metrics"]
    assert {scores[one] for one in SCORES - {"unparseable"}} == {1.0} and scores["unparseable"] == 0


@pytest.mark.slow
def test_a_network_trains_and_is_scored_on_real_maps(recipe, tmp_path):
    from ullava.training.train import train

    data = [{"dataset": name, "task": "multi_target", "options": {"num_classes": 8}} for name in SETS]
    rows = [
        {"dataset": name, "task": "multi_target", "limit": 2, "options": {"exam_classes": 50}} for name in SETS.values()
    ]
    model = recipe().model_dump()
    config = {
        "output_dir": str(tmp_path / "run"), "model": model | {"heads": {"mask": model["heads"]["mask"]}},
        "learn": {"llm": 1e-3, "embeddings": 1e-3, "lm_head": 1e-3, "heads": 1e-3, "mask_decoder": 1e-3}, "data": data,
        "evaluate": [*rows, rows[0] | {"protocol": "lasagna"}],
        "generation": {"max_new_tokens": 8, "batch_size": 4, "workers": 0},
        "training": {
            "max_steps": 2, "batch_size": 2, "precision": "fp32", "workers": 0, "report_to": [], "log_every": 1,
        },
    }  # fmt: skip
    train(RunConfig.model_validate(config))
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line[name]) for line in logged for name in ("mask_bce", "mask_dice", "lm") if name in line)
    scored = json.loads(next(tmp_path.rglob("results.json")).read_text())["rows"]
    assert [row["protocol"] for row in scored] == ["ullava_trainer", "ullava_trainer", "lasagna"]
    assert all(row["metrics"].keys() >= SCORES and row["count"] >= 2 for row in scored)
