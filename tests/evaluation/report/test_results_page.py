"""results.md: our scores in the papers' tables, and what is published beside them, labelled."""

import yaml

from ullava.configs.load import CONFIGS
from ullava.evaluation.report.results_page import PUBLISHED, page, published


def row(dataset, task="res", value=0.7512, answers="generated", **more):
    metrics, interval = {"gIoU": 0.5, "cIoU": value}, {"cIoU": [0.74, 0.76]}
    return {
        "dataset": dataset, "task": task, "answers": answers, "protocol": "ullava_trainer", "boxes": None,
        "metrics": metrics, "interval": interval, "count": 10, "seconds": 1.0,
    } | more  # fmt: skip


def tables(*rows):
    """Title -> the cells of each line of its table."""
    found = {}
    for part in page({"rows": list(rows), "run": {"model": "runs/mine"}}).split("\n## ")[1:]:
        title, *lines = part.splitlines()
        found[title] = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    return found


def test_published_figures_stand_beside_ours_for_the_same_splits_only():
    head, _, ours, given, *quoted = tables(row("refcoco_val"), row("refcoco_val", answers="given"), row("my_set"))[
        "res: cIoU, percent"
    ]
    assert head == ["", "refcoco_val", "my_set"]
    assert ours[1:] == ["75.12 (74.00 .. 76.00)"] * 2 and "generated" in ours[0] and "given" in given[0]
    assert given[2] == "-"
    assert all("(published: " in line[0] and line[2] == "-" for line in quoted)
    assert ["u-LLaVA-7B (published: arXiv:2311.05348v4)", "83.00", "-"] in quoted


def test_a_split_that_nobody_published_stands_alone():
    assert len(tables(row("my_set"))["res: cIoU, percent"]) == 3


def test_controls_stand_among_every_score_only():
    found = tables(row("refcoco_val"), row("refcoco_val_shuffled", value=None))
    assert "refcoco_val_shuffled" not in found["res: cIoU, percent"][0]
    assert ["refcoco_val_shuffled", "res"] in [line[:2] for line in found["Every score"]]
    assert [line[7] for line in found["Every score"][2:]] == ["0.5000", "0.7512", "0.5000", "-"]


def test_saliency_is_printed_as_fractions():
    metrics = {"cIoU": 0.7, "MAE": 0.0456}
    found = tables(row("ecssd", "salient", metrics=metrics))
    assert found["salient: MAE, fraction"][2][1] == "0.046"
    assert ["u-LLaVA-7B (published: arXiv:2311.05348v4)", "90.83"] in found["salient: cIoU, percent"]


def test_every_published_table_is_whole_and_its_recipes_say_the_same():
    for table in yaml.safe_load(PUBLISHED.read_text()):
        assert all(len(values) == len(table["datasets"]) for _, _, values in table["rows"]), table["task"]
    newest = next(iter(published("res", "cIoU"))).values.values()
    said = (CONFIGS / "eval" / "eval_res.yaml").read_text()
    assert all(f"{value:.2f}" in said for value in newest)
