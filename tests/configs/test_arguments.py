"""The arguments that commands share: one grammar, and the nearest option where one is unknown."""

import argparse

import pytest

from ullava.configs.arguments import Parser, add_model, add_precision, add_yaml, precision_of, yaml_of
from ullava.configs.load import CONFIGS, ConfigError, load
from ullava.configs.schema import EvaluationConfig, RunConfig

TRAINING = "output_dir: out\nmodel: {llm: a}\nlearn: {lm_head: 1e-3}\ndata:\n  - {dataset: toy, task: res}\n"
EVALUATION = "output_dir: out\nmodel: a\nevaluate:\n  - {dataset: toy, task: res}\n"


def parse(*arguments: str) -> argparse.Namespace:
    parser = Parser(prog="ullava verb")
    add_yaml(parser, "a training", "a=1")
    add_precision(parser)
    parser.add_argument("--batch_size", type=int)
    return parser.parse(arguments)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(TRAINING)
    (tmp_path / "eval.yaml").write_text(EVALUATION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("mine.yaml", "a=1", "b=2"),
        ("--cfg_path", "mine.yaml", "a=1", "b=2"),
        ("a=1", "b=2", "--cfg_path", "mine.yaml"),
        ("mine.yaml", "a=1", "--dtype", "bf16", "b=2"),
        ("a=1", "mine.yaml", "b=2"),
    ],
)
def test_the_yaml_comes_first_or_by_its_option(folder, arguments):
    path, overrides = yaml_of(parse(*arguments))
    assert (str(path), overrides) == ("mine.yaml", ["a=1", "b=2"])


def test_a_shipped_yaml_goes_by_its_name_and_files_of_one_s_own_come_first(folder):
    for name in ("tiny/stage1", "tiny/stage1.yaml", "configs/tiny/stage1.yaml"):
        assert yaml_of(parse(name))[0] == CONFIGS / "tiny" / "stage1.yaml"
        assert load(name, RunConfig).model.llm == "models/zoo/tiny/llm"
    assert yaml_of(parse("a=1"), "tiny/stage1")[0] == CONFIGS / "tiny" / "stage1.yaml"
    (folder / "tiny").mkdir()
    (folder / "tiny" / "stage1.yaml").write_text(TRAINING)
    assert str(yaml_of(parse("tiny/stage1.yaml"))[0]) == "tiny/stage1.yaml"


def test_a_name_of_no_yaml_says_the_nearest(folder):
    with pytest.raises(ConfigError, match="tiny/stge1: no such file; did you mean 'tiny/stage1'?"):
        yaml_of(parse("tiny/stge1"))
    with pytest.raises(ConfigError, match="mien.yaml: no such file; did you mean 'mine.yaml'?"):
        yaml_of(parse("mien.yaml"))
    with pytest.raises(ConfigError, match="which YAML?"):
        yaml_of(parse("a=1"))


def test_a_second_yaml_is_no_override(folder):
    path, overrides = yaml_of(parse("mine.yaml", "eval.yaml"))
    with pytest.raises(ConfigError, match="'eval.yaml': expected key=value.*; a YAML is the first argument"):
        load(path, RunConfig, overrides)


def test_model_is_what_a_training_begins_with_or_an_evaluation_asks(folder):
    path, overrides = yaml_of(parse("mine.yaml", "--model", "runs/a b"))
    assert load(path, RunConfig, overrides).model.llm == "runs/a b"
    path, overrides = yaml_of(parse("eval.yaml", "model=runs/b", "--llm_path", "runs/c"))
    assert load(path, EvaluationConfig, overrides).model == "runs/c"


@pytest.mark.parametrize("name", ["--model", "--llm_path", "--model_name", "--version"])
def test_a_model_goes_by_the_names_of_u_llava_and_lisa(name):
    parser = Parser()
    add_model(parser, "runs/usual")
    assert parser.parse([]).model == "runs/usual"
    assert parser.parse([name, "runs/mine"]).model == "runs/mine"


def test_options_are_written_with_either_dash():
    assert parse("--batch-size", "4", "--allow_mismatch").batch_size == 4
    assert parse("--allow_mismatch").allow_mismatch and parse("--load-in-4bit").load_in_4bit
    assert parse("--batch-size=4").batch_size == 4


def test_an_unknown_option_names_the_nearest(capsys):
    for unknown, near in (("--batchsize", "--batch_size"), ("--modle=x", "--model")):
        with pytest.raises(SystemExit) as stop:
            parse("mine.yaml", unknown)
        message = capsys.readouterr().err
        assert stop.value.code == 2 and f"no option {unknown.partition('=')[0]!r}; did you mean {near!r}?" in message


def test_an_unknown_option_behind_a_kind_names_that_kind_s(capsys):
    parser = Parser()
    parser.add_subparsers(dest="kind").add_parser("masks").add_argument("--resize")
    with pytest.raises(SystemExit):
        parser.parse(["masks", "--resise", "x"])
    assert "did you mean '--resize'?" in capsys.readouterr().err


def test_help_says_the_defaults_of_arguments(capsys):
    parser = Parser()
    parser.add_argument("place", nargs="?", default="here", help="default: %(default)s")
    with pytest.raises(SystemExit):
        parser.parse(["--help"])
    assert "default: here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], None),
        (["--dtype", "fp16"], "fp16"),
        (["--precision", "4bit"], "4bit"),
        (["--load_in_8bit"], "8bit"),
        (["--precision", "fp16", "--load_in_4bit"], "4bit"),  # as LISA's chat.py is called
    ],
)
def test_flags_name_one_precision(arguments, expected):
    assert precision_of(parse(*arguments)) == expected


def test_two_kinds_at_once_are_refused():
    with pytest.raises(ValueError, match="expected one of them, found both"):
        precision_of(parse("--load_in_8bit", "--load_in_4bit"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check tiny/stage1 --devices 0", "--devices: expected a whole number of 1 or more, found 0"),
        ("check tiny/stage1 --sample -1", "--sample: expected a whole number of 1 or more, found -1"),
        ("check tiny/stage1 --workers 1.5", "--workers: expected a whole number of 1 or more, found 1.5"),
        ("ask a.jpg cup --temperature -1", "--temperature: expected a number of 0 or more, found -1"),
        ("plan X.yaml --promises -1", "--promises: expected a whole number of 0 or more, found -1"),
        ("chat --serve 70000", "--serve: expected a whole number from 1 to 65535, found 70000"),
        ("infer --top_p 1.5", "--top_p: expected a number from 0 to 1, found 1.5"),
        ("infer --temperature nan", "--temperature: expected a number of 0 or more, found nan"),
        ("prepare own photos --held-out -3", "--held-out: expected a whole number of 0 or more, found -3"),
        ("prepare tiny_world --scenes 0", "--scenes: expected a whole number of 1 or more, found 0"),
        ("score semantic a b --classes 0", "--classes: expected a whole number of 1 or more, found 0"),
    ],
)
def test_a_number_out_of_its_bounds_is_named_with_its_option(words, message, capsys):
    from ullava.__main__ import dispatch

    with pytest.raises(SystemExit) as end:
        dispatch(words.split())
    assert end.value.code == 2 and message in capsys.readouterr().err
