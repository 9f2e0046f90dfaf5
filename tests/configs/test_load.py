"""Faults of a YAML: each is named with its file, its key and its cure, all of them at once."""

import pytest

from ullava.configs.load import ConfigError, apply, data_root, load, read_yaml
from ullava.configs.schema import EvaluationConfig, RunConfig

RUN = """\
output_dir: runs/toy
model:
  llm: toy
learn: {lora: 2e-4, heads: 1e-3}
data:
  - {dataset: toy_train, task: res, portion: 0.5}
  - {dataset: toy_train, task: rec}
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "toy.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults(path, schema=RunConfig, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load(path, schema, overrides)
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


def test_a_file_becomes_the_schema(write):
    config = load(write(RUN), RunConfig)
    assert config.learn == {"lora": 2e-4, "heads": 1e-3}
    assert [row.portion for row in config.data] == [0.5, 1.0]


@pytest.mark.parametrize("text, value", [
    ("2e-4", 2e-4), ("1E3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-2.5e+3", -2500.0), ("12", 12), ("-3", -3),
    ("true", True), ("1e", "1e"), ("e4", "e4"), ("null", None), ("0.1.2", "0.1.2"), ("-", "-"),
])  # fmt: skip
def test_numbers_are_those_of_yaml_1_2(write, text, value):
    (found,) = read_yaml(write(f"key: '{text}'" if text == "-" else f"key: {text}")).values()
    assert found == value and type(found) is type(value)


def test_a_rate_may_be_written_in_any_way(write):
    for text in ("2e-4", "0.0002", "2.0e-04"):
        assert load(write(RUN.replace("2e-4", text)), RunConfig).learn["lora"] == 2e-4


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("portion", "potion", "data[0]: no key 'potion'; did you mean 'portion'? there are: dataset, exclude, fam"),
        ("lora:", "loar:", "learn: no key 'loar'; did you mean 'lora'?"),
        ("llm: toy", "{}", "model: key 'llm' is missing"),
        ("0.5", "half", "data[0].portion: input should be a valid number, unable to parse string as a number, fo"),
        ("0.5", "0", "data[0].portion: input should be greater than 0, found 0"),
        ("task: rec", "task: [rec]", "data[1].task: input should be a valid string, found ['rec']"),
        (", task: rec", "", "data[1]: key 'task' is missing"),
        ("{dataset: toy_train, task: rec}", "toy", "data[1]: expected keys and values, found 'toy'"),
        ("\n  llm: toy", "", "model: expected keys and values, found nothing"),
        ("output_dir: runs/toy", "", "key 'output_dir' is missing"),
        ("learn:", "training: {precision: bf}\nlearn:", "training.precision: input should be 'bf16', 'fp16' or 'fp32'"),
        ("  llm: toy", "  llm: toy\n  lora: {ranks: 3}", "model.lora: no key 'ranks'; did you mean 'rank'?"),
    ],
)  # fmt: skip
def test_a_fault_names_its_place_and_cure(write, old, new, message):
    (fault,) = faults(write(RUN.replace(old, new, 1)))
    assert fault.startswith(message)


def test_all_faults_come_at_once(write):
    text = RUN.replace("portion", "potion").replace("toy\nlearn", "toy\nbest: 3\nlearn").replace("output_dir", "output")
    found = faults(write(text), overrides=["data.7.portion=1", "training.seed=x"])
    assert sorted(line[:24] for line in found) == sorted(
        line[:24]
        for line in [
            "'data.7.portion=1': expected the number of an item, below 2; found '7'",
            "training.seed: input should be",
            "key 'output_dir' is missing",
            "data[0]: no key 'potion'; did",
            "best: input should be a valid string",
            "no key 'output'; did you mean 'output_dir'?",
        ]
    )


def test_a_long_value_is_shown_short(write):
    (fault,) = faults(write(RUN.replace("runs/toy", str(["x" * 500]))))
    assert len(fault) < 150 and fault.endswith(" ...")


@pytest.mark.parametrize("text", [RUN + "output_dir: other\n", RUN.replace("heads: 1e-3", "lora: 1e-3")])
def test_a_key_written_twice_is_an_error_with_its_line(write, text):
    path = write(text)
    line = 8 if text.startswith(RUN) else 4
    (fault,) = faults(path)
    assert fault.startswith(f"{path}:{line}: key ") and fault.endswith(" is written twice; keep one")


def test_anchors_and_merge_keys_still_work(write):
    tree = read_yaml(write("base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\n"))
    assert tree["other"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [1\n", "invalid YAML: .*line 2"),
        ("\tx: 1", "invalid YAML: .*line 1"),
        ("- a\n", r"expected keys and values, found \['a'\]"),
        ("", "expected keys and values, found nothing"),
        ("a: !!python/object/apply:os.getcwd []", "invalid YAML: could not determine a constructor"),
    ],
)
def test_what_is_no_mapping_is_refused(write, text, message):
    path = write(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "toy.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match="invalid YAML"):
        read_yaml(tmp_path / "toy.yaml")


def test_a_missing_file_names_its_neighbours(write, tmp_path):
    write(RUN)
    with pytest.raises(ConfigError, match="tou.yaml: no such file; did you mean 'toy.yaml'"):
        read_yaml(tmp_path / "tou.yaml")
    with pytest.raises(ConfigError, match="no such file; there are: none"):
        read_yaml(tmp_path / "nowhere" / "toy.yaml")


def test_overrides_reach_every_place(write):
    overrides = [
        "training.batch_size=4",  # a section that the file does not write
        "data.0.portion=2e-1",
        "data.1.options={says: [SEG]}",
        "model.lora.rank=16",
        "learn.projector=1e-3",
        "best=",
    ]
    config = load(write(RUN), RunConfig, overrides)
    assert config.training.batch_size == 4 and config.model.lora.rank == 16
    assert config.data[0].portion == 0.2 and config.data[1].options == {"says": ["SEG"]}
    assert config.learn["projector"] == 1e-3 and config.best is None


def test_a_value_may_hold_an_equals_sign():
    tree = {}
    apply(tree, "a.b=x=y")
    assert tree == {"a": {"b": "x=y"}}


def test_an_override_fills_an_empty_section():
    tree = {"training": None}
    apply(tree, "training.seed=1")
    assert tree == {"training": {"seed": 1}}


@pytest.mark.parametrize(
    "override, message",
    [
        ("training", "expected key=value, e.g. training.batch_size=4"),
        ("=4", "expected key=value"),
        ("training..seed=4", "expected key=value"),
        ("data.x.portion=1", "expected the number of an item, below 2; found 'x'"),
        ("data.2=1", "expected the number of an item, below 2; found '2'"),
        ("output_dir.x=1", "no place for 'x' in 'runs/toy'"),
        ("learn.lora.x=1", "no place for 'x' in 0.0002"),
        ("best=[1", "invalid YAML"),
        ("best={a: 1, a: 2}", "key 'a' is written twice"),
        ("training.batchsize=4", "training: no key 'batchsize'; did you mean 'batch_size'"),
    ],
)
def test_a_bad_override_is_named(write, override, message):
    (fault,) = faults(write(RUN), overrides=[override])
    assert message in fault


def test_the_same_grammar_reads_an_evaluation(write):
    text = "output_dir: a\nmodel: b\nevaluate:\n  - {dataset: c, task: res, answer: given}\n"
    (fault,) = faults(write(text), EvaluationConfig)
    assert fault.startswith("evaluate[0]: no key 'answer'; did you mean 'answers'?")
    (fault,) = faults(write(text.replace("answer: given", "answers: give")), EvaluationConfig)
    assert fault == "evaluate[0].answers: input should be 'generated' or 'given', found 'give'"


def test_the_data_root_is_the_environments(monkeypatch, tmp_path):
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("ULLAVA_DATA")
    assert str(data_root()) == "data"
