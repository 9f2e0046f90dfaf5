"""What the pages say is there: files, links, tasks, readers, examples, and recipes that load."""

import os
import re
from importlib.util import find_spec

import pytest
import yaml

import ullava.datasets.readers
import ullava.tasks  # noqa: F401
from tests.documents import PAGES, ROOT, WALKS, anchors, blocks, links
from ullava.configs.load import build, load
from ullava.configs.schema import DataRow, EvaluationConfig, RunConfig, SamplingConfig
from ullava.datasets.catalogue import check_options
from ullava.datasets.readers.base import READERS
from ullava.documenting.options import options_of
from ullava.generating.plan import PlanConfig
from ullava.tasks.base import TASKS

README, DOCS = ROOT / "README.md", ROOT / "docs"
ROOMS = "configs|datasets|tasks|models|evaluation|ullava|shells|benchmarks|tests"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_files_that_a_page_names_exist(page):
    named = set(re.findall(rf"(?<![\w/.])(?:\./)?((?:{ROOMS})/[\w/.*-]*\w)", page.read_text()))
    missing = [name for name in sorted(named) if not list(ROOT.glob(name)) and not list(ROOT.glob(f"{name}.py"))]
    assert not missing


@each_page
def test_links_of_a_page_lead_somewhere(page):
    broken = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        there = page.parent / name if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert not broken


def test_pages_have_links_and_anchors_that_can_be_wrong():
    assert "docs/results.md#the-demo" in links(README)
    assert {"the-demo", "four-ways-to-a-box"} <= anchors(DOCS / "results.md")
    assert "tasks-multi-target" in anchors(DOCS / "configuration.md") and "no-such" not in anchors(README)


def test_the_readme_is_one_page():
    assert README.read_text().count("\n") <= 150


def test_the_navigation_has_every_page():
    named = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert named == {page.name for page in DOCS.glob("*.md")}


def task_rows() -> list[tuple[list[str], set[str]]]:
    """(task names, options) of each row of the table in docs/tasks.md."""
    table = (DOCS / "tasks.md").read_text().partition("| `task:`")[2].partition("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    return [(re.findall(r"`(\w+)`", row[0]), set(re.findall(r"`(\w+)`", row[2]))) for row in rows]


def test_every_task_has_a_row_and_the_options_named_there():
    assert {name for names, _ in task_rows() for name in names} == set(TASKS)
    for names, options in task_rows():
        for name in names:
            assert options <= {key.name for key in options_of(TASKS[name])}


def test_every_reader_has_an_example():
    shown = set(re.findall(r"^### (\w+)$", (DOCS / "data-formats.md").read_text(), re.MULTILINE))
    assert shown == set(READERS), "a reader that nobody is told of, or one that is not there"
    examples = [yaml.safe_load(block.text) for block in blocks(DOCS / "data-formats.md", "yaml")]
    assert {entry["reader"] for example in examples for entry in example.values() if "reader" in entry} == set(READERS)


@pytest.mark.parametrize("block", blocks(DOCS / "data-formats.md", "yaml"), ids=lambda block: block.text[:24].strip())
def test_an_example_of_a_reader_has_options_it_takes(block):
    example = yaml.safe_load(block.text)
    for name, entry in (example.get("datasets") or example).items():
        reader = READERS[entry["reader"]]
        options = {key: value for key, value in entry.items() if key != "reader"}
        check_options(name, reader, options)
        assert {key.name for key in options_of(reader) if key.default == "required"} <= options.keys()


@pytest.mark.parametrize("page", WALKS, ids=lambda page: page.name)
def test_yaml_of_a_page_is_of_the_schema(page):
    for block in blocks(page, "yaml"):
        tree = yaml.safe_load(block.text)
        if "output_dir" in tree:
            build(RunConfig, tree, page.name)
        elif "sampling" in tree:
            build(SamplingConfig, tree["sampling"], page.name)
            assert all(build(DataRow, row, page.name) for row in tree["data"])


def test_json_of_a_page_is_json():
    import json

    examples = [block.text for page in PAGES for block in blocks(page, "json")]
    assert examples and all(json.loads(text) for text in examples)


def test_modules_that_the_page_of_moves_names_are_there():
    table = (DOCS / "migrating.md").read_text().partition("## Modules")[2]
    moved = [line.split(" | ") for line in table.splitlines() if line.startswith("| `ullava") and "NAME" not in line]
    assert len(moved) > 100
    missing = [new for _, new in moved if find_spec(new.strip(" |`")) is None]
    assert not missing


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_recipe_loads_and_says_how_to_run_it(path):
    if path.parent.name == "datasets":
        pytest.skip("a catalogue")
    text = path.read_text()
    schema = PlanConfig if path.parent.name == "images" else RunConfig if "learn:" in text else EvaluationConfig
    load(path, schema)
    assert text.startswith("# "), "the first lines say what it is and how to launch it"
    head = text.split("output_dir")[0]
    assert path.name in head or "shells/" in head, "the head names the command"


def test_the_pages_are_built_without_a_warning_and_fetch_nothing(tmp_path, monkeypatch):
    pytest.importorskip("material")
    from mkdocs.commands.build import build as build_pages
    from mkdocs.config import load_config

    monkeypatch.setitem(os.environ, "NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    build_pages(config)
    page = (tmp_path / "index.html").read_text()
    fetched = re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["'](https?://[^"']+)""", page)
    assert "How an answer becomes a mask" in page and not fetched
