"""The benchmarks run at the tiny size, and their books add up."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])


@pytest.mark.parametrize("stage", [1, 2])
def test_a_step_is_measured_part_by_part(stage, capsys):
    from benchmarks.train_step import main

    main(["--stage", str(stage), "--batch", "2", "--steps", "1"])
    said = capsys.readouterr().out
    parts = ["vision tower", "LLM", "LM head", "LLM, backward", "optimizer"]
    parts += ["SAM encoder", "mask head", "box head"] if stage == 2 else []
    assert all(f"\n| {part} | " in said for part in parts)
    assert "- batch 2: " in said and "samples/s" in said and "- peak memory: " in said and "- data: " in said


def test_answers_are_measured_in_several_batches(capsys):
    from benchmarks.generate import main

    main(["--questions", "2", "--batches", "2", "1", "--rounds", "1", "generation.max_new_tokens=4"])
    said = capsys.readouterr().out
    assert "| part | batch 1 | batch 2 |" in said
    for part in ("words (LLM, greedy)", "re-reading", "vision tower", "SAM encoder", "heads"):
        assert f"\n| {part} | " in said


def test_generated_scoring_is_measured_against_the_published_way(capsys):
    from benchmarks.evaluate import main

    main(["--limit", "1", "--rounds", "1", "--batches", "2"])
    said = capsys.readouterr().out
    ours = re.search(r"\n\| ours, batch 2 \| (.*)", said).group(1).split(" | ")
    assert float(ours[1]) > 1 and ours[2] == "100.0%", "faster, and the same answers"
    assert "\n| published way | " in said and "\n| vision tower | " in said and "\n| re-reading | " in said


def test_a_ledger_books_to_the_innermost_region():
    from benchmarks.ledger import Ledger

    readings = iter([0, 1, 3, 6, 10, 15])  # begun, outer opens, inner opens, inner closes, outer closes, left
    ledger = Ledger(lambda: next(readings))
    with ledger.region("outer"), ledger.region("inner"):
        pass
    ledger.leave()
    assert ledger.spent == {"other": 1 + 5, "outer": 2 + 4, "inner": 3}


def test_a_batch_that_fills_needs_a_gpu():
    import torch

    from benchmarks.train_step import Bench, fill

    bench = Bench(None, None, None, None, torch.device("cpu"))
    with pytest.raises(ValueError, match="--batch auto: fills a GPU, and none is here; name a number"):
        fill(bench)


@pytest.mark.slow
def test_a_checkpoint_and_going_on_are_measured(capsys):
    from benchmarks.resume import main

    main(["--sizes", "tiny"])
    said = capsys.readouterr().out
    assert "\n| tiny | optimizer.pt | " in said
    assert "\n| tiny | begins | " in said and "\n| tiny | goes on | " in said


@pytest.mark.slow
def test_a_samples_way_is_held_against_the_bare_one(capsys):
    from benchmarks.data import main

    main(["way", "--count", "2"])
    said = capsys.readouterr().out
    assert "\n| drawn | " in said
    assert all(f"\n| drawn | {step} | " in said for step in ("decode", "resize", "text", "promises"))


def test_annotation_files_are_opened_and_shared(capsys, tmp_path, monkeypatch):
    from benchmarks.data import main

    monkeypatch.setenv("ULLAVA_CACHE", "")
    main(["share", "open", "--shared", "100", "--records", "30", "--folder", str(tmp_path)])
    said = capsys.readouterr().out
    assert "| records | 1 worker, MB | 8 workers, MB | 8 / 1 |" in said and "\n| 30 | " in said
