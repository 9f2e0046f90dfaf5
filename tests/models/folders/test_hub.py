"""Names of weights that are no folders here: shipped ones, and models of the hub, from a cache made by hand."""

import os
import shutil
import subprocess
import sys

import pytest

from ullava.configs.load import CONFIGS
from ullava.configs.schema import ModelConfig
from ullava.models.folders.hub import find_moved, local_folder
from ullava.models.folders.manifest import place
from ullava.models.folders.resolve import resolve_folders
from ullava.models.processor_from_config import processor_from_config

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub cache, and a function that puts a folder into it as `owner/name`."""
    from huggingface_hub import constants

    home = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def put(folder, name, revision="main"):
        root = home / f"models--{name.replace('/', '--')}"
        shutil.copytree(folder, root / "snapshots" / SHA)
        (root / "refs").mkdir()
        (root / "refs" / revision).write_text(SHA)
        return root / "snapshots" / SHA

    return put


def test_a_hub_id_is_the_folder_in_the_cache(cache, zoo):
    place = cache(zoo / "llm", "lab/tiny-llm")
    assert local_folder("lab/tiny-llm", "model.llm") == str(place)
    assert local_folder(f"lab/tiny-llm@{SHA}", "model.llm") == str(place)


def test_what_is_not_in_the_cache_says_the_command_that_fetches_it(cache):
    with pytest.raises(FileNotFoundError) as caught:
        local_folder("lab/no-such", "model.llm")
    message = str(caught.value)
    assert message.startswith("model.llm: lab/no-such: no such folder") and "\n" not in message
    assert message.endswith("hf download lab/no-such")
    with pytest.raises(FileNotFoundError, match="hf download lab/no-such --revision v2$"):
        local_folder("lab/no-such@v2", "model.llm")


def test_a_folder_here_is_never_a_hub_id(cache, zoo, tmp_path, monkeypatch):
    cache(zoo / "llm", "lab/tiny-llm")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab" / "tiny-llm").mkdir(parents=True)
    assert local_folder("lab/tiny-llm", "model.llm") == "lab/tiny-llm"
    assert local_folder("lab/other", "model.llm") == "lab/other"  # the folder `lab` is here: a slip, not a lab


@pytest.mark.parametrize("name", ["runs/stage1", "model_zoo/vicuna", "../a", "./a/b", "/no/such", "a/b/c", "a", "~/a"])
def test_what_cannot_be_a_hub_id_is_left_to_who_opens_it(cache, name):
    assert local_folder(name, "model.llm") == name


def test_shipped_weights_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = CONFIGS.parent / "models" / "zoo" / "tiny" / "llm"
    assert local_folder("models/zoo/tiny/llm", "model.llm") == str(shipped)
    assert place(tmp_path, "models/zoo/tiny/llm") == str(shipped)  # of a run that was trained at the root
    (tmp_path / "models" / "zoo" / "tiny" / "llm").mkdir(parents=True)
    assert local_folder("models/zoo/tiny/llm", "model.llm") == "models/zoo/tiny/llm"


def test_every_folder_of_a_model_section_may_be_a_hub_id(cache, zoo):
    places = {part: str(cache(zoo / part, f"lab/{part}")) for part in ("llm", "clip", "sam")}
    section = {"llm": "lab/llm", "vision": {"tower": "lab/clip"}, "heads": {"mask": {"sam": "lab/sam"}, "box": {}}}
    config = resolve_folders(ModelConfig.model_validate(section))
    assert config.vision is not None
    assert [config.llm, config.vision.tower, config.heads["mask"]["sam"]] == [*places.values()]
    assert config.heads["box"] == {}
    assert processor_from_config(ModelConfig.model_validate(section)).max_length == 512


def test_what_cannot_be_had_is_an_error_or_stays(cache, zoo):
    cache(zoo / "llm", "lab/llm")
    section = ModelConfig.model_validate({"llm": "lab/llm", "vision": {"tower": "lab/none"}})
    with pytest.raises(FileNotFoundError, match="^model.vision.tower: lab/none: "):
        resolve_folders(section)
    kept = resolve_folders(section, strict=False)
    assert kept.vision is not None and kept.vision.tower == "lab/none" and kept.llm.endswith(SHA)


def test_a_card_s_path_into_another_machine_s_cache_is_found_in_this_one(cache, zoo):
    here = cache(zoo / "llm", "lab/tiny-llm")
    theirs = f"/home/her/.cache/huggingface/hub/models--lab--tiny-llm/snapshots/{SHA}"
    assert find_moved(theirs) == str(here)
    assert find_moved(f"{theirs}/config.json") == str(here / "config.json")
    assert find_moved(f"{theirs}/../../../outside") == f"{theirs}/../../../outside"
    other = theirs.replace("tiny", "large")
    assert find_moved(other) == other


def test_the_environment_s_cache_and_offline_switch_are_heeded(zoo, tmp_path):
    root = tmp_path / "home" / "hub" / "models--lab--tiny-llm"
    shutil.copytree(zoo / "llm", root / "snapshots" / SHA)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(SHA)
    code = "from ullava.models.folders.hub import local_folder; print(local_folder('lab/tiny-llm', 'model'))"
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(root / "snapshots" / SHA)
