"""The ablations of the family: what each setting changes, and a page that adds up."""

import json
import sys
from pathlib import Path

import pytest

from ullava.configs.load import load
from ullava.configs.schema import RunConfig

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import family  # noqa: E402

PLACE = family.Place(Path("runs/family"), Path("runs/ablations"), 2)
RECIPE = {
    "output_dir": "x", "model": {"llm": "y"}, "learn": {"lora": 1e-3},
    "sampling": {"rates": [9, 3, 1, 2], "samples_per_epoch": 100},
    "data": [
        {"dataset": "a", "task": "semantic", "family": "sem"},
        {"dataset": "a", "task": "vqa", "family": "chat"},
        {"dataset": "b", "task": "semantic", "family": "sem", "options": {"rounds": 2}},
        {"dataset": "a", "task": "captioning"},
        {"dataset": "c", "task": "reasoning"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("setting", family.SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_a_recipe_that_loads_and_is_scored(setting):
    path = ROOT / f"configs/tiny/{setting.recipe}.yaml"
    plain = load(path, RunConfig)
    changed = load(path, RunConfig, PLACE.overrides(setting))
    assert (changed == plain) == (setting.change is family.keep)
    assert len(family.SETTINGS) == len({one.name for one in family.SETTINGS})
    asked = {row.task for row in changed.evaluate if row.dataset == family.TEST}
    assert {name.partition("/")[0] for name in (*family.SCORES[setting.recipe], *family.CHAT)} <= asked


def test_without_rehearsal_the_other_rates_stay(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(RECIPE))
    left = load(path, RunConfig, family.without_rehearsal(load(path, RunConfig)))
    assert [(row.dataset, row.task) for row in left.data] == [("a", "semantic"), ("b", "semantic"), ("c", "reasoning")]
    assert left.sampling.rates == (9, 2) and left.data[1].options == {"rounds": 2}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two seeds of the first setting that were trained and asked."""
    monkeypatch.setattr(family, "REPORT", tmp_path / "family.md")
    place = family.Place(tmp_path / "family", tmp_path / "ablations", 2)
    setting = family.SETTINGS[0]
    for seed, score in ((0, 0.5), (1, 0.7)):
        folder = place.folder(setting, seed)
        evaluation = folder / "evaluation" / "step-180"
        evaluation.mkdir(parents=True)
        (folder / "ullava.json").touch()
        scores = {
            "multi_target": {"mIoU": score, "presence_F1": 1.0},
            "captioning": {"CIDEr-D": 2.0},
            "vqa": {"accuracy": 0.5},
        }
        rows = [
            {"dataset": "tiny_test", "task": task, "answers": "generated", "metrics": found}
            for task, found in scores.items()
        ]
        (evaluation / "results.json").write_text(json.dumps({"rows": rows, "run": {}}))
    return place


def test_a_setting_shows_mean_and_spread_of_the_seeds_that_are_done(place):
    text = family.write(place, [0, 1, 2])
    scores = "0.600 ± 0.141 | 1.000 ± 0.000 | 2.000 ± 0.000 | 0.500 ± 0.000"
    assert f"\n| all three strategies | 2 | {2 * 1200 // 4} | {scores} |\n" in text  # batches of 4
    assert text.count("| not yet |") and family.REPORT.read_text() == text


def test_what_is_done_is_not_trained_again(place, monkeypatch):
    trained = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(family, "train", lambda setting, seed, place: trained.append((setting.name, seed)))
    family.main(["--only", "lasagna", "--seeds", "0", "2", "--runs", str(place.runs)])
    others = ["lasagna_all_classes", "lasagna_shuffled", "lasagna_no_negatives"]
    assert trained == [*((name, 0) for name in others), *((name, 2) for name in ("lasagna_whole", *others))]


def test_without_a_parent_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"runs/family/base: no model to go on from; run ./shells/demo.sh --family"
    ):
        family.train(family.SETTINGS[0], 0, PLACE)
