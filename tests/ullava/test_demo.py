"""The demo's steps: what it types, and what it does when a step fails. The whole of it runs in shells/demo.sh."""

import sys

import pytest

from ullava import demo


def test_every_file_that_the_demo_names_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "questions", lambda: ["--questions", "what is it?"])
    typed = list(demo.commands(tmp_path, quick=True))
    files = [word for command in typed for word in command if word.endswith((".py", ".yaml"))]
    assert len(files) == 7 and [file for file in files if not (demo.ROOT / file).is_file()] == []


def test_stages_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "questions", list)
    _, first, second, merge, evaluate, _ = demo.commands(tmp_path, quick=False)
    assert f"output_dir={tmp_path}/stage1" in first and f"model.llm={tmp_path}/stage1" in second
    assert merge[-2:] == [f"{tmp_path}/stage2_lora", f"{tmp_path}/merged"]
    assert f"model={tmp_path}/merged" in evaluate and f"output_dir={tmp_path}" in evaluate
    assert not any(word.startswith("training.") for word in (*first, *second))


def test_a_demo_begins_anew_and_keeps_what_is_not_its_own(tmp_path):
    (tmp_path / "stage1" / "checkpoint-1").mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    demo.begin_anew(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_step_measures_itself():
    step = demo.run([sys.executable, "-c", "held = bytearray(64 << 20)"])
    assert step.memory > 0.06 and step.seconds > 0  # of a large parent more: what it forked counts, too


def test_a_failed_step_ends_the_demo():
    with pytest.raises(ChildProcessError, match="exit status 3 of: .*; its own message stands above"):
        demo.run([sys.executable, "-c", "raise SystemExit(3)"])
