"""The door: what `ullava VERB` says, and that nothing heavy loads before a verb needs it."""

import subprocess
import sys

import pytest

from ullava.__main__ import VERBS, main


def test_help_names_every_verb(capsys):
    main(["--help"])
    said = capsys.readouterr().out
    assert all(f"\n  {verb} " in said for verb in VERBS)


def test_no_verb_is_help(capsys):
    main([])
    assert capsys.readouterr().out.startswith("usage: ullava VERB")


def test_an_unknown_verb_names_the_nearest_and_all(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["trian"])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "no verb 'trian'; did you mean 'train'?" in said
    assert "Traceback" not in said and "merge" in said


def test_debug_lets_the_error_through():
    with pytest.raises(LookupError, match="no verb 'xyz'"):
        main(["xyz", "--debug"])


@pytest.mark.parametrize("verb", ["train", "eval", "infer", "merge", "prepare", "check"])
def test_a_verb_has_its_own_help(verb, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["__main__.py"])
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: ullava {verb}" in capsys.readouterr().out


def test_a_misspelt_dataset_to_prepare_lists_what_there_is(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "tiny_wrold"])
    assert stop.value.code == 2
    assert "tiny_world" in capsys.readouterr().err


def test_the_door_opens_without_torch():
    program = "import sys, ullava.__main__; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
