"""What is forgotten: the base's questions asked again."""

import json
from pathlib import Path

import pytest

from ullava.configs.load import load
from ullava.configs.schema import RunConfig
from ullava.evaluation.report.forgetting import KEPT, forgetting_table, forgotten
from ullava.evaluation.report.report import write_report

CONFIGS = Path(__file__).parents[3] / "configs"
FAMILY = ("lisa", "lasagna", "keyseg", "sd_parts")
RECIPES = [*(f"tiny/{name}" for name in ("chat", *FAMILY)), *(f"train/{name}" for name in ("lisa_reason", *FAMILY))]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_of_the_family_asks_what_its_base_could_and_says_some_of_it_again(name):
    config = load(CONFIGS / f"{name}.yaml", RunConfig)
    assert set(KEPT) <= {row.task for row in config.evaluate}
    assert set(KEPT) & {row.task for row in config.data}


def row(model, task, dataset="toy", **metrics):
    head = {"dataset": dataset, "task": task, "answers": "generated", "boxes": None, "count": 1, "seconds": 1.0}
    return head | {"metrics": metrics, "interval": {}, "model": model}


@pytest.fixture
def results():
    rows = [
        row("base", "vqa", accuracy=0.8),
        row("base", "captioning", **{"BLEU-4": 0.5, "CIDEr-D": 0.0}),
        row("lisa", "reasoning", gIoU=0.6),
        row("lisa", "vqa", accuracy=0.6),
        row("lisa", "vqa", dataset="toy_shuffled", accuracy=0.1),
        row("lisa", "captioning", **{"CIDEr-D": 0.0}),
        row("keyseg", "vqa", dataset="other", accuracy=0.9),  # the base was never asked these
    ]
    return {"rows": rows, "run": {"base": "base"}}


def test_each_score_is_held_against_the_bases(results):
    found = [(loss.model, loss.score, loss.before, loss.after, round(loss.kept, 2)) for loss in forgotten(results)]
    assert found == [("lisa", "accuracy", 0.8, 0.6, 0.75), ("lisa", "CIDEr-D", 0.0, 0.0, 1.0)]


def test_the_table_names_the_model_the_score_and_what_is_left(results):
    head, first, _ = forgetting_table(results).splitlines()
    assert head.split() == ["model", "dataset", "task", "score", "before", "after", "kept"]
    assert first.split() == ["lisa", "toy", "vqa", "accuracy", "0.800", "0.600", "75%"]


def test_one_model_alone_forgets_nothing():
    assert forgetting_table({"rows": [{**row("", "vqa", accuracy=1.0)}], "run": {}}) == ""


def test_the_page_shows_it_and_says_whose_rows_are(results, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "predictions.jsonl").touch()
    files = (tmp_path / name for name in ("page.html", "results.json", "predictions.jsonl"))
    page = write_report(*files, {}, {}).read_text()
    assert "<h3>What was forgotten</h3>" in page and ">75%</td>" in page
    assert "reasoning, lisa" in page
