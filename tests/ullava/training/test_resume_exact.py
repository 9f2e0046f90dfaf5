"""A run that is killed, and run again by the same command, ends as one that nobody touched: to the last byte."""

import json
import random
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from ullava.configs.load import build
from ullava.configs.schema import RunConfig
from ullava.training.saving import checkpoints, discard
from ullava.training.train import train

STEP, SAVE, SEAL = "ullava.training.trainer:StageTrainer.compute_loss", "torch:save", "ullava.training.saving:seal"
ANSWER, CARD = "ullava.models.answering:Answerer.__call__", "ullava.models.folders.checkpoints:write_card"
CHANCE = random.Random(11)


@pytest.fixture(scope="module")
def configure(run_of, recipe):
    """Configures a stage of two epochs of six steps; lines of the log and checkpoints fall on different steps."""

    def make(output, *, stage: int = 2, **training) -> dict:
        how = {"epochs": 2, "max_steps": None, "batch_size": 2, "accumulate": 2, "log_every": 3, "save_every": 4}
        how |= {"schedule": "cosine", "weight_decay": 0.1, "max_grad_norm": 1.0} | training
        if stage == 1:
            model, data, more = recipe(heads={}), ("talk", "captions", "captions"), {"learn": {"projector": 1e-3}}
        else:
            model, data = recipe(lora={"rank": 2, "dropout": 0.2}), ("talk", "captions", "squares")
            asked = [{"dataset": "squares", "task": "semantic", "answers": "given"}]
            asked += [{"dataset": "talk", "task": "vqa", "limit": 2}]
            more = {"evaluate": asked, "best": "squares/semantic/mIoU"}
        more |= {"generation": {"max_new_tokens": 4, "batch_size": 4, "workers": 0, "temperature": 1.0}}
        return run_of(output, data, training=how, model=model.model_dump(mode="json"), **more)

    return make


def deeds(folder) -> dict:
    """What a run leaves behind that has to be the same."""
    names = ["learned.safetensors", "adapter_model.safetensors", "log.jsonl", "evaluation/step-12/predictions.jsonl"]
    found = {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}
    state = json.loads((checkpoints(folder)[-1] / "trainer_state.json").read_text())
    return found | {"best": (state["best_metric"], state["best_global_step"])}


def kill(name: str, first: int, last: int) -> list:
    """SIGKILL at a call of a function between the `first` and the `last`, drawn once for all."""
    return [name, CHANCE.randint(first, last), SIGKILL]


@pytest.fixture(scope="module")
def second(suffer, configure, tmp_path_factory):
    """The second stage: untouched; killed and killed again; stopped by signals; with data workers."""
    folder = tmp_path_factory.mktemp("second")
    one, killed, stopped = (configure(folder / name) for name in ("one", "killed", "stopped"))
    worked = configure(folder / "worked", workers=1)
    shared = configure(folder / "shared", workers=2)
    deaths = [kill(STEP, 9, 11), kill(SAVE, 1, 4), kill(ANSWER, 1, 3), [ANSWER, 4, SIGKILL], kill(SEAL, 2, 2)]
    deaths += [[CARD, 2, SIGKILL], None]
    ends = suffer(
        (one, []), *((killed, [death] if death else []) for death in deaths),
        (stopped, [[STEP, 5, SIGTERM]]), (stopped, [[ANSWER, 2, SIGINT]]), (stopped, [[STEP, 12, SIGTERM]]),
        (stopped, []),
        (worked, []), (shared, [[STEP, 7, "stop_all"]]), (shared, []),
    )  # fmt: skip
    return folder, ends


@pytest.mark.slow
def test_resume_of_the_second_stage_killed_in_a_step_a_save_and_an_evaluation(second):
    folder, ends = second
    assert [end.codes for end in ends[:8]] == [(0,), *[(-9,)] * 6, (0,)], [end.said for end in ends[:8]]
    assert deeds(folder / "killed") == deeds(folder / "one")
    assert "removed" in ends[3].said and "partial-checkpoint-" in ends[3].said
    assert not list((folder / "killed").glob("partial-*"))


@pytest.mark.slow
def test_resume_of_a_run_that_was_asked_to_stop(second):
    """By SIGTERM in a step, by Ctrl-C in an evaluation, and by SIGTERM in the last step before one."""
    folder, ends = second
    term, interrupt, last, end = ends[8:12]
    assert [end.codes for end in (term, interrupt, last, end)] == [(0,)] * 4
    assert "stopped by SIGTERM after step 3, which is saved; the same command goes on" in term.said
    assert "stopped by SIGINT in an evaluation; the same command begins it again and goes on" in interrupt.said
    assert "stopped by SIGTERM after step 12, which is saved" in last.said
    assert deeds(folder / "stopped") == deeds(folder / "one")


@pytest.mark.slow
def test_resume_and_data_do_not_depend_on_the_number_of_workers(second):
    """Nor on who is signalled: a SIGTERM to all processes leaves the workers time for the step."""
    folder, ends = second
    assert [end.codes for end in ends[12:]] == [(0,)] * 3, [end.said for end in ends[12:]]
    assert "stopped by SIGTERM after step 4" in ends[13].said
    assert deeds(folder / "worked") == deeds(folder / "one")
    assert deeds(folder / "shared") == deeds(folder / "one")


@pytest.mark.slow
def test_resume_of_a_run_that_keeps_features(suffer, configure, tmp_path):
    """A picture's features are its own: the process that goes on first meets it in another batch, beside others."""
    one, other = (configure(tmp_path / name, cache_features=True, epochs=3) for name in ("one", "other"))
    ends = suffer((one, []), (other, [[STEP, 11, SIGKILL]]), (other, [[STEP, 16, SIGKILL]]), (other, []))
    assert [end.codes for end in ends] == [(0,), (-9,), (-9,), (0,)], [end.said for end in ends]
    assert deeds(tmp_path / "other") == deeds(tmp_path / "one")


@pytest.mark.slow
def test_resume_of_the_first_stage_and_of_two_ranks(suffer, configure, tmp_path):
    """Two ranks agree on the step to stop at, whichever was asked."""
    one, other, two, pair = (configure(tmp_path / name, stage=1) for name in ("one", "other", "two", "pair"))
    for tree in (two, pair):
        tree["training"] |= {"accumulate": 1}
    both = {"ranks": 2}
    ends = suffer(
        (one, []), (other, [kill(STEP, 2, 8)]), (other, [kill(STEP, 9, 14)]), (other, []),
        (two, [], both), (pair, [[STEP, 5, SIGTERM]], both), (pair, [], both),
    )  # fmt: skip
    codes = [(0,), (-9,), (-9,), (0,), (0, 0), (0, 0), (0, 0)]
    assert [end.codes for end in ends] == codes, [end.said for end in ends]
    assert deeds(tmp_path / "other") == deeds(tmp_path / "one")
    assert ends[5].said.count("stopped by another rank after step ") == 1
    assert deeds(tmp_path / "pair") == deeds(tmp_path / "two")


def test_resume_shows_no_step_twice_on_the_board(run_of, cache, tmp_path, monkeypatch):
    """A process that went on from step 1 hides what one before it wrote of step 2."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("ULLAVA_CACHE", str(cache))
    training = {"max_steps": 2, "batch_size": 2, "save_every": 1, "report_to": ["tensorboard"]}
    config = build(RunConfig, run_of(tmp_path, ("talk",), training=training), "test")
    train(config)
    discard(tmp_path / "checkpoint-2")
    train(config)
    (board,) = tmp_path.glob("tensorboard")
    events = EventAccumulator(str(board)).Reload()
    assert [event.step for event in events.Scalars("train/lm")] == [1, 2]
