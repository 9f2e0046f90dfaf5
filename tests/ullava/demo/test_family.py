"""The demo of the family: what it types, and how it brings the rows together. test_family_commands.py runs it."""

import json

import pytest

from ullava.configs.load import load
from ullava.configs.schema import EvaluationConfig, RunConfig
from ullava.demo import demo
from ullava.demo import family as demo_family
from ullava.demo.demo import Together


def commands(output, quick=False):
    for typed in demo_family.commands(output, quick=quick):
        yield from (job.command for job in typed) if isinstance(typed, Together) else [typed]


def test_each_recipe_goes_on_from_its_parent(tmp_path):
    _, stage1, base, *others = (typed for typed in commands(tmp_path) if demo_family.PSEUDO not in typed)
    assert f"output_dir={tmp_path}/stage1" in stage1 and not any(word.startswith("model.llm=") for word in stage1)
    assert f"model.llm={tmp_path}/stage1" in base and f"output_dir={tmp_path}/base" in base
    parents = {demo_family.RECIPES[n].name: demo_family.RECIPES[n].parent for n in range(2, len(demo_family.RECIPES))}
    assert set(parents) >= {"keyseg_plain", "sd_parts_words"}
    assert {parents["lisa"], parents["lasagna"]} == {"base"} and {parents["keyseg"], parents["sd_parts"]} == {"lisa"}
    assert [word for typed in others for word in typed if word.startswith("model.llm=")] == [
        f"model.llm={tmp_path}/{parent}" for parent in parents.values()
    ]


def test_what_runs_at_once_waits_for_what_it_goes_on_from(tmp_path):
    *_, together = demo_family.commands(tmp_path, quick=False)
    waits = {job.log.stem: [log.stem for log in job.after] for job in together}
    assert waits == {
        "lisa": [], "lasagna": [], "keyseg": ["lisa"], "sd_parts": ["lisa"], "keyseg_plain": ["lisa"],
        "pseudo_masks": ["lisa"], "sd_parts_words": ["pseudo_masks"],
    }  # fmt: skip
    begun = list(waits)
    assert all(begun.index(name) < begun.index(one) for one, names in waits.items() for name in names)


def test_every_file_that_it_names_is_there(tmp_path):
    files = [word for typed in commands(tmp_path, quick=True) for word in typed if word.endswith((".py", ".yaml"))]
    assert [file for file in files if not (demo.ROOT / file).is_file()] == []


def test_one_evaluation_asks_what_the_recipes_ask():
    asked = load(demo.ROOT / "configs/tiny/family.yaml", EvaluationConfig).evaluate
    held = {(row.dataset, row.task): row.options for row in asked}
    for recipe in demo_family.RECIPES:
        for row in load(demo.ROOT / f"configs/tiny/{recipe.config}.yaml", RunConfig).evaluate:
            if row.dataset == "tiny_test":
                assert row.options == held[row.dataset, row.task], (recipe.name, row.task)


def evaluation(folder, step, *rows):
    place = folder / "evaluation" / f"step-{step}"
    place.mkdir(parents=True)
    (place / "results.json").write_text(json.dumps({"rows": list(rows), "run": {"step": step}}))
    (place / "predictions.jsonl").write_text("".join(json.dumps({"id": row["task"]}) + "\n" for row in rows))


def test_the_last_evaluation_of_each_recipe_is_merged_and_says_whose_it_is(tmp_path, monkeypatch):
    recipes = [demo_family.Recipe(name, name, name, parent) for name, parent in (("one", None), ("base", "one"))]
    monkeypatch.setattr(demo_family, "RECIPES", recipes)
    evaluation(tmp_path / "base", 9, {"task": "vqa", "metrics": {"accuracy": 0.1}})
    evaluation(tmp_path / "base", 10, {"task": "vqa", "metrics": {"accuracy": 0.2}})
    demo_family.merge(tmp_path, tmp_path / "results.json", tmp_path / "predictions.jsonl")
    merged = json.loads((tmp_path / "results.json").read_text())
    assert merged["rows"] == [{"task": "vqa", "metrics": {"accuracy": 0.2}, "model": "base"}]
    assert merged["run"] == {"base": "base", "models": {"base": {"step": 10}}}
    assert json.loads((tmp_path / "predictions.jsonl").read_text()) == {"id": "vqa", "model": "base"}


def test_a_control_has_its_own_name_and_no_chat(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_family, "RECIPES", [demo_family.Recipe("plain", "", "", "lisa", control="plain")])
    rows = [{"dataset": "tiny_test", "task": task, "metrics": {}} for task in ("keyword", "captioning", "vqa")]
    evaluation(tmp_path / "plain", 1, *rows)
    demo_family.merge(tmp_path, tmp_path / "results.json", tmp_path / "predictions.jsonl")
    (row,) = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert row == {"dataset": "tiny_test_plain", "task": "keyword", "metrics": {}, "model": "plain"}
    assert (tmp_path / "predictions.jsonl").read_text() == ""


def test_a_quick_demo_has_no_controls(tmp_path):
    typed = " ".join(word for words in commands(tmp_path, quick=True) for word in words)
    assert "plain" not in typed and demo_family.PSEUDO not in typed


def test_masks_are_drawn_before_what_learns_from_them(tmp_path):
    typed = list(commands(tmp_path))
    drawn = next(n for n, words in enumerate(typed) if demo_family.PSEUDO in words)
    learned = next(n for n, words in enumerate(typed) if any(f"masks={tmp_path}" in word for word in words))
    assert drawn < learned and f"datasets.parts_pseudo.masks={typed[drawn][7]}" in typed[learned]


def test_a_recipe_that_was_never_evaluated_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="lisa: holds no evaluation; its YAML lacks `evaluate:`"):
        demo_family.last_evaluation(tmp_path / "lisa")
