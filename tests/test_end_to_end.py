"""The whole way by the very commands of the demo: draw, both stages, merge, evaluation, inference, the page.

Two steps of each stage teach nothing; what is tested is that everything meets.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
TAUGHT = {"res", "rec", "salient", "semantic", "vqa", "captioning", "video_captioning"}  # the others: test_demo_family


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "ullava", "demo", "--quick", "--output", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def rows(run):
    return json.loads((run / "results.json").read_text())["rows"]


def test_every_task_is_scored_with_generated_answers(rows):
    scored = {row["task"] for row in rows if row["dataset"] == "tiny_test" and row["answers"] == "generated"}
    assert scored == TAUGHT


def test_every_task_has_its_trivial_baseline(rows):
    assert {row["task"] for row in rows if row["dataset"] == "tiny_test_trivial"} == TAUGHT


def test_res_rec_and_vqa_are_asked_of_other_pictures_too(rows):
    assert {row["task"] for row in rows if row["dataset"] == "tiny_test_shuffled"} == {"res", "rec", "vqa"}


def test_rows_are_as_names_has_them(rows):
    keys = {"dataset", "task", "answers", "protocol", "boxes", "metrics", "interval", "count", "seconds"}
    assert all(set(row) == keys and row["count"] > 0 for row in rows)


def test_predictions_are_one_line_a_question(run, rows):
    lines = [json.loads(line) for line in (run / "predictions.jsonl").open()]
    counted = sum(row["count"] for row in rows if not row["dataset"].endswith("_trivial"))
    assert len(lines) == counted
    keys = {"id", "dataset", "task", "answers", "question", "answer", "truth", "predicted", "metrics"}
    assert all(set(line) == keys for line in lines)


@pytest.mark.parametrize("stage", ["stage1", "stage2_lora"])
def test_each_stage_logs_and_saves(run, stage):
    log = [json.loads(line) for line in (run / stage / "log.jsonl").open()]
    assert [line["step"] for line in log if "loss" in line] == [1, 2]
    wanted = {"lm"} if stage == "stage1" else {"lm", "mask_bce", "mask_dice", "box_l1", "box_giou"}
    assert wanted <= set(log[0])
    written = {path.name for path in (run / stage).iterdir()}
    assert {"ullava.json", "learned.safetensors", "learn.json", "config.yaml"} <= written


def test_the_page_and_the_answers_are_there(run):
    assert "<svg" in (run / "report.html").read_text()
    assert (run / "answers" / "answers.jsonl").is_file()
