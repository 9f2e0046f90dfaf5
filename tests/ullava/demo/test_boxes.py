"""The demo of four ways to a box: what it types, and a quick run of it."""

import json

import pytest

from tests.demos import run_quickly
from ullava.demo import boxes as demo_boxes
from ullava.demo import demo


def test_it_goes_on_from_the_demos_second_stage(tmp_path, monkeypatch):
    left = tmp_path / "stage2_lora"
    left.mkdir()
    (left / "ullava.json").touch()
    monkeypatch.setattr(demo_boxes, "DEMO", left)
    _, detector, evaluate = demo_boxes.commands(tmp_path, quick=False)
    assert f"model.llm={left}" in detector and f"output_dir={tmp_path}/detector" in detector
    assert f"model={tmp_path}/detector" in evaluate and f"output_dir={tmp_path}" in evaluate


def test_it_trains_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_boxes, "DEMO", tmp_path / "nowhere")
    _, first, second, detector, _ = demo_boxes.commands(tmp_path, quick=False)
    assert f"output_dir={tmp_path}/stage1" in first and f"model.llm={tmp_path}/stage1" in second
    assert demo_boxes.SHORTER in second and f"model.llm={tmp_path}/stage2_lora" in detector


def test_every_file_that_it_names_is_there(tmp_path):
    typed = [word for command in demo_boxes.commands(tmp_path, quick=True) for word in command]
    files = [word for word in typed if word.endswith((".py", ".yaml"))]
    assert len(files) == 8 and [file for file in files if not (demo.ROOT / file).is_file()] == []


@pytest.mark.slow
def test_a_quick_run_scores_all_four_ways(tmp_path):
    run_quickly("boxes", tmp_path)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    scored = {row["boxes"] for row in rows if row["dataset"] == "tiny_test"}
    assert scored == {"box", "mask2box", "grounding", "detector"}
    assert "ways to a box" in (tmp_path / "report.html").read_text()
