"""Modules from outside the package: named ones are imported, and nothing else is."""

import json
import os
import subprocess
import sys

import pytest

from ullava.configs.load import ConfigError
from ullava.configs.messages import run_command
from ullava.configs.plugins import listed, load_plugins


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, in which each module that is imported leaves a mark."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    monkeypatch.setenv("ULLAVA_PLUGINS", "")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, name: str, text: str = "") -> None:
    (folder / f"{name}.py").write_text(f"open({name + '.mark'!r}, 'a').write('x')\n{text}")


def marks(folder) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.mark"))


def refusal(*names: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_plugins(names)
    return str(caught.value)


def test_named_modules_of_the_working_directory_are_imported_once(folder):
    write(folder, "first_plugin")
    write(folder, "second_plugin")
    write(folder, "unnamed_plugin")
    load_plugins(["first_plugin", "second_plugin"])
    load_plugins(["first_plugin"])
    assert marks(folder) == ["first_plugin", "second_plugin"]
    assert (folder / "first_plugin.mark").read_text() == "x"


def test_the_variable_takes_commas_and_what_a_path_has(folder):
    assert listed(f"a.b, c{os.pathsep}d,") == ["a.b", "c", "d"]
    assert listed("") == []


def test_processes_that_are_started_know_the_plugins(folder):
    write(folder, "first_plugin")
    write(folder, "second_plugin")
    os.environ["ULLAVA_PLUGINS"] = "first_plugin"
    load_plugins(["second_plugin"])
    assert os.environ["ULLAVA_PLUGINS"] == "first_plugin,second_plugin"


def test_every_command_imports_what_the_variable_names(folder):
    write(folder, "first_plugin")
    os.environ["ULLAVA_PLUGINS"] = "first_plugin"
    run_command(lambda rest: None, [])
    assert marks(folder) == ["first_plugin"]


def test_a_file_of_the_working_directory_never_replaces_an_installed_module(folder):
    write(folder, "colorsys", "raise RuntimeError")  # a module of the standard library that nothing here has imported
    sys.modules.pop("colorsys", None)
    load_plugins(["colorsys"])
    assert marks(folder) == []


def test_a_module_that_is_not_there_is_named_with_its_cure(folder):
    assert refusal("lab.absent") == (
        f"plugins: no module 'lab.absent' in {folder} or on Python's path; put its folder on PYTHONPATH, or start the "
        "command in that folder"
    )
    os.environ["ULLAVA_PLUGINS"] = "absent"
    assert refusal().startswith("$ULLAVA_PLUGINS: no module 'absent'")


def test_what_a_module_lacks_is_not_taken_for_the_module(folder):
    write(folder, "needy_plugin", "import not_installed_anywhere")
    assert refusal("needy_plugin").startswith("plugins: needy_plugin imports 'not_installed_anywhere', which is not")


@pytest.mark.parametrize("text, reason", [("1 / 0", "ZeroDivisionError: division by zero"), ("def", "SyntaxError")])
def test_a_module_that_fails_says_how(folder, text, reason):
    (folder / "broken_plugin.py").write_text(text)
    said = refusal("broken_plugin")
    assert said.startswith(f"plugins: broken_plugin fails when it is imported: {reason}")
    assert said.endswith("mend the module, or take it out of the list")


@pytest.mark.parametrize("name", ["my_plugin.py", "lab/heads", "..", "", "a b"])
def test_only_the_name_of_a_module_names_one(folder, name):
    assert f"expected the dotted name of a module, such as my_shapes or lab.heads, found {name!r}" in refusal(name)


def test_a_folder_that_is_opened_brings_no_code(folder):
    """The card and the config.yaml of a run name plugins; nobody who opens the run imports them."""
    write(folder, "foreign_plugin")
    run = folder / "run"
    run.mkdir()
    (run / "config.yaml").write_text("plugins: [foreign_plugin]\n")
    heads = {"mask": {"sam": "sam"}, "foreign": {}}
    card = {"model": {"llm": "llm", "heads": heads, "plugins": ["foreign_plugin"]}, "plugins": ["foreign_plugin"],
            "run": {"plugins": ["foreign_plugin"]}}  # fmt: skip
    (run / "ullava.json").write_text(json.dumps(card))
    (folder / "eval.yaml").write_text(
        json.dumps({"output_dir": "out", "model": "run", "evaluate": [{"dataset": "tiny_test", "task": "res"}]})
    )
    command = [sys.executable, "-m", "ullava"]
    asked = subprocess.run([*command, "check", "eval.yaml"], capture_output=True, text=True)
    assert marks(folder) == []
    assert "no head 'foreign'" in asked.stderr
    assert "if a plugin brings it, name its module under `plugins:` or in $ULLAVA_PLUGINS" in asked.stderr
