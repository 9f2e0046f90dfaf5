"""What the pages say is there: files, tasks, readers, verbs, and recipes that load."""

import re
from pathlib import Path

import pytest

import ullava.datasets.readers
import ullava.tasks  # noqa: F401
from ullava.configs.load import load
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.datasets.readers.base import READERS
from ullava.generating.plan import PlanConfig
from ullava.tasks.base import TASKS

ROOT = Path(__file__).parents[1]
README, ARCHITECTURE = (ROOT / name for name in ("README.md", "ARCHITECTURE.md"))
ROOMS = "configs|datasets|tasks|models|evaluation|ullava|shells|benchmarks|tests"


@pytest.mark.parametrize("page", [README, ARCHITECTURE], ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    named = set(re.findall(rf"(?<![\w/.])(?:\./)?((?:{ROOMS})/[\w/.*-]*\w)", page.read_text()))
    assert named
    missing = [name for name in sorted(named) if not list(ROOT.glob(name)) and not list(ROOT.glob(f"{name}.py"))]
    assert not missing


@pytest.mark.parametrize(("known", "kind"), [(TASKS, "task"), (READERS, "reader")])
def test_readme_names_everything_a_yaml_may_use(known, kind):
    named = set(re.findall(r"`(\w+)`", README.read_text()))
    assert set(known) <= named, f"a {kind} that nobody is told of"


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
