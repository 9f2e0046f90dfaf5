"""An evaluation that was stopped goes on where it was, on any number of ranks, and nobody sees it in the results."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from ullava.configs.schema import EvaluationRow, GenerationConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Answer, Picture, Region, Sample
from ullava.evaluation.engine import questions
from ullava.evaluation.engine.progress import FOLDER, identify
from ullava.evaluation.evaluator import evaluate

ROOT = Path(__file__).resolve().parents[3]
ROW = EvaluationRow(dataset="toy", task="res", options={"says": ["SEG"]})


class Tired:
    """Draws a mask of chance for each question; stops, as by a key, at a given batch."""

    generation = GenerationConfig(batch_size=2)

    def __init__(self, stops_at: int = 99):
        self.left, self.asked = stops_at, []

    def __call__(self, dialogues, *, given):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        self.asked += [dialogue.id for dialogue in dialogues]
        rngs = [np.random.default_rng(sum(map(ord, dialogue.id))) for dialogue in dialogues]
        return [Answer("Sure. Mask: [SEG].", {"mask": (rng.random((4, 6), np.float32),)}) for rng in rngs]


@pytest.fixture
def toy(monkeypatch):
    """Seven questions."""
    drawn = encode(np.random.default_rng(0).random((4, 6)) > 0.5)
    region = Region(("the thing",), "thing", mask=RunLengths(tuple(drawn["size"]), drawn["counts"]))
    samples = [Sample(f"toy/{n}", (Picture(f"{n}.png", (4, 6)),), (region,)) for n in range(7)]
    monkeypatch.setattr(questions, "open_dataset", lambda name, task, own: samples)


def score(answerer, output, identity="a model"):
    results = evaluate([ROW], answerer, own={}, output=output, run={}, identity=identity, progress=False)
    return {**results["rows"][0], "seconds": 0}, (output / "predictions.jsonl").read_bytes()


def stop(output, at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        score(Tired(at), output)


def test_only_what_was_not_asked_before_is_asked(toy, tmp_path):
    expected = score(Tired(), tmp_path / "whole")
    stop(tmp_path / "run", at=3)
    assert not (tmp_path / "run" / "results.json").exists()
    stop(tmp_path / "run", at=2)
    last = Tired()
    assert score(last, tmp_path / "run") == expected
    assert last.asked == ["toy/6#0"]  # two batches of two before the first stop, one before the second
    assert not (tmp_path / "run" / FOLDER).exists()


def test_what_another_model_said_is_not_read(toy, tmp_path):
    stop(tmp_path, at=3)
    again = Tired()
    score(again, tmp_path, identity="another model")
    assert len(again.asked) == 7


def test_a_line_that_was_cut_is_asked_again(toy, tmp_path):
    expected = score(Tired(), tmp_path / "whole")
    stop(tmp_path / "run", at=4)
    (file,) = (tmp_path / "run" / FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    stop(tmp_path / "run", at=2)  # writes behind what the cut has left
    last = Tired()
    assert score(last, tmp_path / "run") == expected and last.asked == ["toy/6#0"]


def test_a_model_is_known_by_its_files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = identify(str(tmp_path), {"step": 1})
    assert identify(str(tmp_path), {"step": 1}) == before != identify(str(tmp_path), {"step": 2})
    (tmp_path / "model.safetensors").write_bytes(b"new weights")
    assert identify(str(tmp_path), {"step": 1}) != before


ROWS = [
    {"dataset": "tiny_test", "task": "res", "answers": "given"},
    {"dataset": "tiny_test", "task": "rec", "limit": 5},
    {"dataset": "tiny_test", "task": "salient", "answers": "given"},
    {"dataset": "tiny_test", "task": "vqa", "limit": 6},
]


@pytest.fixture(scope="module")
def runs(recipe, tmp_path_factory):
    """The same evaluation by one rank, by two, and by two of which one is killed, whereupon one goes on."""
    from ullava.datasets.tiny_world.world import draw_world
    from ullava.models.assembly import assemble
    from ullava.models.folders.checkpoints import save

    place = tmp_path_factory.mktemp("stopping")
    draw_world(place / "tiny_world", "tiny_test", 10, 0)
    assembled = assemble(recipe())
    save(place / "model", assembled.model, assembled.config, assembled.processor.tokenizer)
    generation = {"batch_size": 4, "max_new_tokens": 8}
    (place / "eval.yaml").write_text(
        yaml.safe_dump({"output_dir": "x", "model": str(place / "model"), "evaluate": ROWS, "generation": generation})
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    jobs = [
        {
            "command": ["--cfg_path", str(place / "eval.yaml"), f"output_dir={place / name}"],
            "ranks": ranks, "killed": killed, "port": port,
        }
        for name, ranks, killed in (("one", 1, None), ("two", 2, None), ("killed", 2, 3), ("killed", 1, None))
    ]  # fmt: skip
    (place / "jobs.json").write_text(json.dumps(jobs))
    environment = os.environ | {"ULLAVA_DATA": str(place), "OMP_NUM_THREADS": "1"}
    script = [sys.executable, str(ROOT / "tests/evaluation/engine/stopping.py"), str(place / "jobs.json")]
    done = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    ended = json.loads((place / "ended.json").read_text())
    assert ended == [[0], [0, 0], [-9, -9], [0]], done.stdout[-2000:] + done.stderr[-4000:]
    return place


@pytest.mark.slow
@pytest.mark.parametrize("other", ["two", "killed"])
def test_ranks_and_a_kill_leave_no_bit_of_the_results_changed(runs, other):
    def told(name):
        rows = json.loads((runs / name / "results.json").read_text())["rows"]
        return [{**row, "seconds": 0} for row in rows]

    assert told(other) == told("one")
    files = sorted(path.relative_to(runs / "one") for path in (runs / "one").rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(runs / other) for path in (runs / other).rglob("*") if path.is_file())
    for file in files:
        if file.parts[0].startswith("predictions"):  # the others say how long it took
            assert (runs / other / file).read_bytes() == (runs / "one" / file).read_bytes(), file


@pytest.mark.slow
def test_a_batch_is_asked_once_whoever_asks_it(runs):
    asked = [line.split() for line in (runs / "asked.txt").read_text().splitlines()]
    one, first, second, before, after = (
        sum(number in numbers and rank in ranks for number, rank in asked)
        for numbers, ranks in (("0", "0"), ("1", "0"), ("1", "1"), ("2", "01"), ("3", "0"))
    )
    assert first + second == one and abs(first - second) <= len(ROWS)
    assert before >= 2 and before + after in (one, one + 1)  # what was under way when it was killed is asked again
