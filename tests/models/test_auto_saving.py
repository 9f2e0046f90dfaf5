"""A run opens from any working directory, and what `save_pretrained` writes opens wherever it is moved to."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoProcessor

import ullava.auto  # noqa: F401, registers
from ullava.models.assembly import assemble
from ullava.models.auto import UllavaForCausalLM
from ullava.models.folders.checkpoints import save
from ullava.models.folders.manifest import CARD, open_card

ASKED = {"question": "Can you segment the red circle?", "max_new_tokens": 6}


def write_run(folder, config) -> None:
    """A run's folder on the foundations that `config` names."""
    assembled = assemble(config)
    save(folder, assembled.model, assembled.config, assembled.processor.tokenizer)


@pytest.fixture
def project(zoo, recipe, tmp_path, monkeypatch):
    """A project's folder with weights/ and runs/one, whose card names the weights by relative paths."""
    folder = tmp_path / "project"
    shutil.copytree(zoo, folder / "weights")
    monkeypatch.chdir(folder)
    heads = {"mask": {"sam": "weights/sam"}, "box": {"channels": 16}}
    write_run(folder / "runs" / "one", recipe(llm="weights/llm", vision={"tower": "weights/clip"}, heads=heads))
    return folder


def weights(model) -> dict[str, torch.Tensor]:
    return dict(model.network.named_weights())


def test_a_relative_card_stays_relative(project):
    card = json.loads((project / "runs" / "one" / CARD).read_text())
    assert card["model"]["llm"] == "weights/llm" and set(card["bases"]) == {
        f"weights/{n}" for n in ("llm", "clip", "sam")
    }
    assert open_card("runs/one").config.llm == "weights/llm"  # readable where it was trained


def test_a_run_opens_from_any_working_directory(project, tmp_path, monkeypatch, world):
    expected = UllavaForCausalLM.from_pretrained("runs/one").ask(picture=world.folder / "0.png", **ASKED)
    (tmp_path / "elsewhere").mkdir()
    for place, folder in (("elsewhere", "../project/runs/one"), ("project/runs/one", "."), ("", "project/runs/one")):
        monkeypatch.chdir(tmp_path / place)
        assert (
            UllavaForCausalLM.from_pretrained(folder).ask(picture=world.folder / "0.png", **ASKED).text == expected.text
        )
        assert AutoProcessor.from_pretrained(folder)(text="What?")["input_ids"]


def test_a_project_may_move_as_a_whole(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.rename(tmp_path / "moved")
    assert UllavaForCausalLM.from_pretrained("moved/runs/one").ask(**ASKED).text is not None


def test_a_run_outside_of_its_project_names_its_foundations_in_full(project, tmp_path, monkeypatch, recipe):
    heads = {"mask": {"sam": "weights/sam"}}
    write_run(tmp_path / "runs", recipe(llm="weights/llm", vision={"tower": "weights/clip"}, heads=heads))
    assert json.loads((tmp_path / "runs" / CARD).read_text())["model"]["llm"] == str(project / "weights" / "llm")
    monkeypatch.chdir(tmp_path)
    UllavaForCausalLM.from_pretrained("runs")


def test_what_lies_nearer_to_the_run_wins_over_the_working_directory(project, tmp_path, monkeypatch):
    other = tmp_path / "other"
    (other / "weights" / "llm").mkdir(parents=True)
    monkeypatch.chdir(other)
    assert open_card(project / "runs" / "one").config.llm == str(project / "weights" / "llm")


@pytest.mark.parametrize("changes", [{}, {"lora": {"rank": 2}}], ids=["plain", "lora"])
def test_what_is_saved_opens_where_it_is_moved_to(project, tmp_path, monkeypatch, world, recipe, changes):
    heads = {"mask": {"sam": "weights/sam"}, "box": {"channels": 16}}
    run = project / "runs" / "two"
    write_run(run, recipe(llm="weights/llm", vision={"tower": "weights/clip"}, heads=heads, **changes))
    model = AutoModelForCausalLM.from_pretrained(run)
    with torch.no_grad():  # learned in Python, in no file
        for name, weight in model.network.named_parameters():
            if name.startswith(("projector.", "heads.box.")) or ".lora_B." in name:
                weight.add_(0.01)
    expected = model.ask(picture=world.folder / "0.png", **ASKED)
    model.save_pretrained(project / "saved")
    shutil.move(project / "saved", tmp_path / "uploaded")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(project)
    again = AutoModelForCausalLM.from_pretrained("uploaded")
    reply = again.ask(picture=world.folder / "0.png", **ASKED)
    assert reply.text == expected.text
    np.testing.assert_allclose(np.array(reply.boxes).reshape(-1, 4), np.array(expected.boxes).reshape(-1, 4), atol=1e-3)
    assert AutoProcessor.from_pretrained("uploaded")(text="What?")["input_ids"]
    if not changes:
        saved = weights(again)
        assert all(torch.equal(weight, saved[name]) for name, weight in weights(model).items())


def test_a_saved_model_is_saved_again_over_itself(model, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        next(again.network.projector.parameters()).add_(1)
    again.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}*partial*"))
    saved = weights(AutoModelForCausalLM.from_pretrained(tmp_path))
    assert all(torch.equal(weight, saved[name]) for name, weight in weights(again).items())


def test_a_runs_folder_is_not_written_over(model, run_folder):
    before = sorted(path.name for path in run_folder.iterdir())
    with pytest.raises(FileExistsError, match="holds a run or a checkpoint, whose files would be lost"):
        model.save_pretrained(run_folder)
    assert sorted(path.name for path in run_folder.iterdir()) == before


def test_what_saving_would_not_obey_is_refused(model, tmp_path):
    with pytest.raises(TypeError, match="save_pretrained takes no push_to_hub"):
        model.save_pretrained(tmp_path / "again", push_to_hub=True)
