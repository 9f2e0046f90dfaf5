"""The demo's steps: what it types, and what it does when a step fails. The whole of it runs in shells/demo.sh."""

import shlex
import sys

import pytest

from ullava.demo import demo


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
    demo.begin_anew(tmp_path, demo.FOLDERS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_step_measures_itself():
    step = demo.run([sys.executable, "-c", "held = bytearray(64 << 20)"])
    assert step.memory > 0.06 and step.seconds > 0  # of a large parent more: what it forked counts, too


def test_a_failed_step_ends_the_demo():
    with pytest.raises(ChildProcessError, match="exit status 3 of: .*; its own message stands above"):
        demo.run([sys.executable, "-c", "raise SystemExit(3)"])


def say(words, log, *after):
    return demo.Job(["python", "-c", f"import os, pathlib; {words}"], log, after)


def test_commands_that_run_together_share_the_cores_and_keep_their_words_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    share = "print(os.environ['OMP_NUM_THREADS'], {!r})"
    jobs = [say(share.format(name), tmp_path / f"{name}.txt") for name in ("left", "right")]
    steps = demo.carry_out(demo.Together(jobs))
    assert [step.command for step in steps] == [shlex.join(job.command) for job in jobs]
    assert [job.log.read_text() for job in jobs] == ["2 left\n", "2 right\n"]


@pytest.mark.parametrize("cores", ["1", "2", "3"])
def test_a_command_waits_for_those_that_it_needs(tmp_path, monkeypatch, cores):
    monkeypatch.setenv("OMP_NUM_THREADS", cores)
    first, second, third = (tmp_path / f"{name}.txt" for name in ("first", "second", "third"))
    slow = say("import time; time.sleep(0.5); print('done')", first)
    read = f"print(pathlib.Path({str(first)!r}).read_text())"
    demo.carry_out(demo.Together([slow, say(read, second, first), say(read, third, first)]))
    assert second.read_text().split() == third.read_text().split() == ["done"]


def test_one_that_fails_is_named_with_its_last_words(tmp_path):
    failing = say("print('bar 1%\\rbar 2%'); raise SystemExit('no such picture')", tmp_path / "a.txt")
    with pytest.raises(ChildProcessError, match="exit status 1 of: .*a.txt ends with\n(?s:.*)no such picture"):
        demo.carry_out(demo.Together([failing]))


def test_after_a_failure_nothing_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first, second, third = (tmp_path / f"{name}.txt" for name in ("first", "second", "third"))
    jobs = [say("raise SystemExit('no such picture')", first), say("print()", second, first), say("print()", third)]
    with pytest.raises(ChildProcessError, match="first.txt ends with"):
        demo.carry_out(demo.Together(jobs))
    assert not second.exists() and not third.exists()
