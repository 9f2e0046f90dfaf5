"""Annotation tables: made once, opened as a map, and what broken files say."""

import json
import multiprocessing
import os
import pickle

import pytest

from ullava.datasets import tables
from ullava.datasets.tables import TableRow, open_table, read_object, read_records


def rows(path, *, doubled=False):
    """Rows of a list of {name, value}; counts its runs in a file beside it."""
    with path.with_suffix(".runs").open("a") as runs:
        runs.write("x")
    for record in read_records(path):
        yield TableRow(record["name"], "p", {"value": [record["value"]] * 2 if doubled else record["value"]})


def runs(path) -> int:
    return len(path.with_suffix(".runs").read_text())


def test_rows_come_back(write):
    path = write("a.json", [{"name": "x", "value": [1, "ü"]}, {"name": "y", "value": None}])
    table = open_table(rows, path)
    assert len(table) == 2
    assert table[0] == TableRow("x", "p", {"value": [1, "ü"]})
    assert [row.id for row in table] == ["x", "y"]
    assert table[-1].id == "y"


def test_a_file_is_parsed_once(write):
    path = write("a.json", [{"name": "x", "value": 1}])
    open_table(rows, path)
    open_table(rows, path)
    assert runs(path) == 1


def test_a_changed_file_or_option_is_parsed_again(write):
    path = write("a.json", [{"name": "x", "value": 1}])
    assert open_table(rows, path)[0].facts == {"value": 1}
    assert open_table(rows, path, doubled=True)[0].facts == {"value": [1, 1]}
    write("a.json", [{"name": "x", "value": 3}])
    os.utime(path, ns=(1, 1))
    assert open_table(rows, path)[0].facts == {"value": 3}
    assert runs(path) == 3


def test_hugging_face_datasets_opens_the_same_file(write):
    import datasets

    table = open_table(rows, write("a.json", [{"name": "x", "value": 1}]))
    assert datasets.Dataset.from_file(str(table.path))[0]["id"] == "x"


def test_a_table_travels_as_a_path(write):
    table = open_table(rows, write("a.json", [{"name": str(i), "value": "v" * 100} for i in range(1000)]))
    packed = pickle.dumps(table)
    assert len(packed) < 1000
    assert pickle.loads(packed)[999] == table[999]


def test_processes_that_make_one_table_at_once_agree(write):
    path = write("a.json", [{"name": str(i), "value": i} for i in range(2000)])
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(_length, [path] * 6) == [2000] * 6
    assert [p.suffix for p in tables.cache_folder().iterdir()] == [".arrow"]


def _length(path) -> int:
    return len(open_table(rows, path))


def test_a_failed_table_leaves_nothing_behind(write):
    with pytest.raises(ValueError, match="a.json: a record has no key 'value'"):
        open_table(rows, write("a.json", [{"name": "x", "value": 1}, {"name": "y"}]))
    assert list(tables.cache_folder().iterdir()) == []


def test_a_cache_that_cannot_be_written_says_which_variable_moves_it(write, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(write("a.txt", "a file, not a folder")))
    with pytest.raises(OSError, match=r"a.txt/tables: the cache .* cannot be written .* set \$ULLAVA_CACHE"):
        open_table(rows, write("a.json", [{"name": "x", "value": 1}]))


def test_a_missing_key_of_a_record_names_the_record(write):
    table = open_table(rows, write("a.json", [{"name": "x", "value": 1}]))
    with pytest.raises(ValueError, match="a.json: x: the record has no key 'valu'; did you mean 'value'"):
        table[0].facts["valu"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "", "a.json: the file is empty"),
        ("a.jsonl", "", "a.jsonl: no records"),
        ("a.json", "[]", "a.json: no records"),
        ("a.json", '[{"name": 1},\n{"name": }]', "a.json:2: broken JSON"),
        ("a.jsonl", '{"name": 1}\n{"name": \n', "a.jsonl:2: broken JSON"),
        ("a.json", '{"images": []}', "a.json: expected a list of records, found a mapping with images"),
        ("a.json", "[3]", "a.json: record 0: expected a mapping, found '3'"),
        ("a.json", '[{"name": "x", "value": 1}, {"name": "x", "value": 1}]', "two records have the id 'x'"),
    ],
)
def test_a_bad_file_has_one_clear_message(write, name, content, message):
    path = write(name, content)
    with pytest.raises(ValueError, match=message):
        open_table(lambda p: (TableRow(str(r["name"]), "", r) for r in read_records(p)), path)


def test_jsonl_may_have_empty_lines(write):
    assert len(list(read_records(write("a.jsonl", '{"a": 1}\n\n{"a": 2}\n')))) == 2


def test_an_object_without_its_keys_is_refused(write):
    path = write("a.json", {"image": [], "info": {}})
    with pytest.raises(ValueError, match="a.json: no key 'images'; did you mean 'image'"):
        read_object(path, "images")
    with pytest.raises(ValueError, match="expected a mapping with images, found a list"):
        read_object(write("b.json", []), "images")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe\x00[")
    with pytest.raises(ValueError, match="a.json:1: broken JSON"):
        list(read_records(path))


def test_facts_are_json(write):
    path = write("a.json", [{"name": "x", "value": {"deep": [1.5]}}])
    assert json.dumps(open_table(rows, path)[0].facts) == '{"value": {"deep": [1.5]}}'


@pytest.mark.parametrize(
    "text", ["[]", ' [ {"a": 1} ] ', '[{"a": [1, {"b": "]"}]},\n\t{"c": "\\u00e4"}]\n', '\ufeff[{"a": "\u00e4"}]']
)
def test_an_array_is_read_value_by_value(write, text):
    assert list(read_records(write("a.json", text))) == json.loads(text.removeprefix("\ufeff"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1},\n]', "a.json:1: broken JSON"), ('[{"a": 1}\n{"b": 2}]', "a.json:2: broken JSON .*delimiter"),
        ('[{"a": 1}', "a.json:1: broken JSON"), ('[{"a": 1}]\n\nx', "a.json:1: broken JSON .*Extra data"),
        ("[,]", "a.json:1: broken JSON"), ('[{"a": 1},,{}]', "a.json:1: broken JSON"), ("[", "a.json:1: broken JSON"),
        ('"a"', "expected a list of records, found 'a'"), ("[1]", "record 0: expected a mapping, found '1'"),
    ],
)  # fmt: skip
def test_an_array_that_is_broken_somewhere(write, text, message):
    with pytest.raises(ValueError, match=message):
        list(read_records(write("a.json", text)))
