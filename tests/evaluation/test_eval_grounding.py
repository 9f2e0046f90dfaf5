"""The command that scores one row by several sources."""

import json

import pytest

from ullava.evaluation import eval_ullava_grounding as command


def test_every_row_is_scored_by_every_source():
    rows = command.side_by_side([{"dataset": "a", "task": "res"}], ["box", "grounding"], {"weights": "w", "text": None})
    assert rows == [
        {"dataset": "a", "task": "res", "boxes": "box"},
        {"dataset": "a", "task": "res", "boxes": {"grounding": {"weights": "w"}}},
    ]


def test_the_sources_become_rows_before_other_keys_are_written(monkeypatch, tmp_path):
    yaml = tmp_path / "rec.yaml"
    yaml.write_text("output_dir: out\nmodel: m\nevaluate:\n  - {dataset: a, task: res}\n")
    typed = []
    monkeypatch.setattr(command, "evaluate", lambda arguments, default: typed.append(arguments))
    monkeypatch.chdir(tmp_path)
    command.main(["--cfg_path", str(yaml), "--boxes", "box,mask2box", "evaluate.1.limit=3", f"output_dir={tmp_path}"])
    (arguments,) = typed
    assert [row["boxes"] for row in json.loads(arguments[0].removeprefix("evaluate="))] == ["box", "mask2box"]
    assert arguments[1:3] == ["--cfg_path", str(yaml)] and "evaluate.1.limit=3" in arguments


def test_help_names_both_commands_options(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = capsys.readouterr().out
    assert "--grounding_path" in said and "--cfg_path" in said
