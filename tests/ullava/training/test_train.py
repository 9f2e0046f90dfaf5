"""A stage, end to end on a toy dataset: what learns, what is logged, and how a stopped run goes on."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ullava.configs.schema import RunConfig
from ullava.models.assembly import reopen
from ullava.models.stages import part_of
from ullava.training.train import train

COLOURS = ("red", "blue", "green", "white", "black")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Catalogue entries of a toy dataset: five pictures of one colour each, in LLaVA's and in COCO's formats."""
    folder = tmp_path_factory.mktemp("toy")
    for name in COLOURS:
        Image.new("RGB", (40, 30), name).save(folder / f"{name}.png")
    chats = [
        {"id": name, "image": f"{name}.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat is here?"}, {"from": "gpt", "value": f"It is {name}."},
        ]}
        for name in COLOURS
    ]  # fmt: skip
    pictures = [{"id": n, "file_name": f"{name}.png", "height": 30, "width": 40} for n, name in enumerate(COLOURS)]
    square = {"category_id": 1, "segmentation": [[5, 5, 25, 5, 25, 20, 5, 20]], "bbox": [5, 5, 20, 15], "area": 300}
    refs = [{"id": n, "image_id": n, "iscrowd": 0} | square for n in range(len(COLOURS))]
    captions = [{"id": n, "image_id": n, "caption": f"A {name} square."} for n, name in enumerate(COLOURS)]
    (folder / "chats.json").write_text(json.dumps(chats))
    (folder / "captions.json").write_text(json.dumps({"images": pictures, "annotations": captions}))
    (folder / "instances.json").write_text(
        json.dumps({"images": pictures, "annotations": refs, "categories": [{"id": 1, "name": "square"}]})
    )
    images = str(folder)
    return {
        "chats": {"reader": "llava_chat", "annotations": str(folder / "chats.json"), "images": images},
        "captions": {"reader": "coco_captions", "annotations": str(folder / "captions.json"), "images": images},
        "squares": {"reader": "coco_instances", "annotations": str(folder / "instances.json"), "images": images},
    }


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def make(recipe, toy, tmp_path_factory):
    """Makes a run's configuration; dotted keys change it."""

    def configure(output, model, learn, data, **changes) -> RunConfig:
        training = {
            "epochs": 1, "batch_size": 4, "precision": "fp32", "schedule": "constant", "warmup_ratio": 0, "workers": 0,
            "log_every": 1, "report_to": [], "weight_decay": 0.1,
        } | changes.pop("training", {})  # fmt: skip
        section = {
            "output_dir": str(output), "model": model, "learn": learn, "data": data, "datasets": toy,
            "training": training, "generation": {"max_new_tokens": 4, "batch_size": 4, "workers": 0},
        }  # fmt: skip
        return RunConfig.model_validate(section | changes)

    return configure


@pytest.fixture(scope="module")
def first(make, recipe):
    """Configures stage I: captions and chats, what sees is joined to what says."""

    def configure(output, **changes):
        data = [{"dataset": "captions", "task": "captioning"}, {"dataset": "chats", "task": "vqa"}]
        return make(output, recipe(heads={}), {"projector": 1e-3, "embeddings": 1e-3}, data, **changes)

    return configure


@pytest.fixture(scope="module")
def stage_one(first, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    train(first(folder))
    return folder


@pytest.fixture(scope="module")
def second(make, recipe, stage_one):
    """Configures stage II: masks, boxes and chats, by adapters, scored at each epoch's end."""

    def configure(output, **changes):
        data = [{"dataset": "squares", "task": "semantic", "options": {"says": ["SEG", "LOC"]}}]
        data += [{"dataset": "chats", "task": "vqa", "portion": 0.6}]
        learn = {"lora": 1e-3, "embeddings": 2e-3, "lm_head": 1e-3, "mask_decoder": 1e-3, "heads": 1e-3}
        asked = [{"dataset": "squares", "task": "semantic", "answers": "given"}]
        how = {"evaluate": asked, "best": "squares/semantic/mIoU", "new_embeddings_only": True} | changes
        model = recipe(llm=str(stage_one), vision=None, lora={"rank": 2})
        return make(output, model, learn, data, **how)

    return configure


@pytest.fixture(scope="module")
def stage_two(second, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "two"
    train(second(folder, training={"epochs": 2}))
    return folder


def weights(folder) -> dict[str, torch.Tensor]:
    return dict(reopen(folder).model.named_weights())


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def steps(folder) -> list[dict]:
    """Lines about optimizer steps, not about evaluations."""
    return [line for line in log(folder) if "loss" in line]


def test_stage_one_moves_what_it_names_and_nothing_else(stage_one, recipe):
    from ullava.models.assembly import assemble

    before, after = dict(assemble(recipe(heads={}), seed=42).model.named_weights()), weights(stage_one)
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert {part_of(name) for name in moved} == {"projector", "embeddings"}
    assert len(steps(stage_one)) == 3  # ten rows in batches of four


def test_stage_two_goes_on_from_stage_one(stage_one, stage_two):
    before, after = weights(stage_one), weights(stage_two)
    plain = {name.replace(".base_layer", ""): weight for name, weight in after.items()}
    for name, weight in before.items():
        if name == "llm.model.embed_tokens.weight":  # only the new tokens learn, the old ones stay
            assert torch.equal(plain[name][: len(weight)], weight)
        elif part_of(name) != "lm_head":
            assert torch.equal(plain[name], weight), name


def test_stage_two_moves_every_part_it_names(stage_two, second, tmp_path):
    from ullava.models.assembly import assemble

    config = second(tmp_path)
    before = dict(assemble(config.model, seed=42).model.named_weights())
    moved = {part_of(name) for name, weight in weights(stage_two).items() if not torch.equal(weight, before[name])}
    assert moved == set(config.learn)


def test_the_table_of_what_learns_is_saved(stage_two):
    table = {line["part"]: line for line in json.loads((stage_two / "learn.json").read_text())}
    assert table["embeddings"]["learning"] == 6 * 32
    assert table["llm"]["learning"] == 0 < table["llm"]["frozen"]
    assert (stage_two / "config.yaml").is_file()


def test_every_loss_and_every_rate_is_logged(stage_two):
    lines = steps(stage_two)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]  # eight rows an epoch, four a step
    for line in lines:
        assert {"lm", "mask_bce", "mask_dice", "box_l1", "box_giou", "grad_norm"} <= set(line)
        assert line["learning_rate/embeddings"] == 2e-3
        assert {line[f"learning_rate/{part}"] for part in ("lora", "lm_head", "mask_decoder", "heads")} == {1e-3}
        parts = line["lm"] + 2 * line["mask_bce"] + 0.5 * line["mask_dice"] + line["box_l1"] + line["box_giou"]
        assert line["loss"] == pytest.approx(parts, rel=1e-4)


def test_epochs_end_with_scores_and_the_best_is_known(stage_two):
    scored = [line for line in log(stage_two) if any(key.startswith("eval_") for key in line)]
    assert [line["step"] for line in scored] == [2, 4]
    best = max(line["eval_squares/semantic/mIoU"] for line in scored)
    state = json.loads((stage_two / "checkpoint-4" / "trainer_state.json").read_text())
    assert state["best_metric"] == pytest.approx(best)
    results = json.loads((stage_two / "evaluation" / "step-4" / "results.json").read_text())
    assert results["rows"][0]["metrics"]["mIoU"] == pytest.approx(scored[-1]["eval_squares/semantic/mIoU"])


def test_a_stopped_run_goes_on_as_if_it_had_not(second, stage_two, tmp_path):
    """The same command twice; dropout, data and optimizer go on where they were."""
    train(second(tmp_path, training={"epochs": 1}))
    train(second(tmp_path, training={"epochs": 2}))
    expected, found = (load_file(folder / "learned.safetensors") for folder in (stage_two, tmp_path))
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    expected, found = (load_file(folder / "adapter_model.safetensors") for folder in (stage_two, tmp_path))
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    assert [line["lm"] for line in steps(tmp_path)] == [line["lm"] for line in steps(stage_two)]


def test_two_micro_batches_are_one_batch(first, stage_one, tmp_path):
    train(first(tmp_path, training={"batch_size": 2, "accumulate": 2, "max_steps": 1}))
    (one,), whole = steps(tmp_path), steps(stage_one)[0]
    for name in ("loss", "lm", "grad_norm"):
        assert one[name] == pytest.approx(whole[name], rel=1e-4)


def test_answers_are_generated_at_an_epochs_end_in_bfloat16(second, tmp_path):
    asked = [{"dataset": "chats", "task": "vqa", "limit": 2}, {"dataset": "squares", "task": "semantic", "limit": 1}]
    how = {"max_steps": 1, "precision": "bf16", "gradient_checkpointing": True, "cache_features": True}
    train(second(tmp_path, evaluate=asked, best=None, training=how))
    lines = (tmp_path / "evaluation" / "step-1" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["answers"] for line in lines] == ["generated"] * 3
    assert {weight.dtype for weight in load_file(tmp_path / "learned.safetensors").values()} == {torch.float32}


def test_what_learns_in_bfloat16_begins_as_finely_as_it_was_published(first, tmp_path):
    config = first(tmp_path, training={"max_steps": 1, "precision": "bf16"})
    train(config.model_copy(update={"learn": {"projector": 1e-3, "embeddings": 1e-30}}))  # too small to move anything
    table = "model.embed_tokens.weight"
    published = load_file(Path(config.model.llm, "model.safetensors"))[table]
    assert (published != published.bfloat16().float()).any()
    assert torch.equal(load_file(tmp_path / "learned.safetensors")[f"llm.{table}"][: len(published)], published)


def test_a_tower_that_is_not_there_cannot_learn(first, tmp_path):
    config = first(tmp_path)
    with pytest.raises(ValueError, match="learn: this model has no part 'sam_encoder'"):
        train(config.model_copy(update={"learn": {"sam_encoder": 1e-4}}))


def test_a_checkpoint_without_a_card_is_refused(first, tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    with pytest.raises(ValueError, match="checkpoint-3: holds no ullava.json; with --skip-bad-checkpoint"):
        train(first(tmp_path))
