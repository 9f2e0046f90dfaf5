"""The schema: what a YAML may leave out, and what it may not."""

import pytest
from pydantic import BaseModel, ValidationError

from ullava.configs import schema
from ullava.configs.schema import EvaluationConfig, LossConfig, RunConfig, Section, TrainingConfig

RUN = {"output_dir": "a", "model": {"llm": "b"}, "learn": {}, "data": [{"dataset": "c", "task": "res"}]}


def test_the_smallest_run_takes_u_llavas_weights():
    run = RunConfig(**RUN)
    assert run.losses.weights() | {"mask_bce": 2.0, "mask_dice": 0.5, "box_l1": 1.0, "box_giou": 1.0, "lm": 1.0} == (
        run.losses.weights()
    )
    assert run.losses.resolution == "original" and run.data[0].portion == 1.0 and run.model.vision is None


def test_every_loss_of_the_house_has_a_weight():
    assert set(LossConfig().weights()) == {
        "lm", "mask_bce", "mask_dice", "box_l1", "box_giou", "detector_focal", "keyword_alignment", "contrast",
        "multi_label",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", [n for n, c in vars(schema).items() if isinstance(c, type) and issubclass(c, BaseModel)]
)
def test_every_section_is_closed_and_frozen(name):
    section = getattr(schema, name)
    if section is not BaseModel:
        assert issubclass(section, Section)
        assert section.model_config["extra"] == "forbid" and section.model_config["frozen"]


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingConfig().seed = 1


@pytest.mark.parametrize(
    "change",
    [
        {"data": []},
        {"learn": {"everything": 1.0}},
        {"training": {"epochs": 0}},
        {"training": {"batch_size": 0}},
        {"training": {"warmup_ratio": 1.5}},
        {"generation": {"temperature": -1}},
        {"model": {"llm": "b", "lora": {"dropout": 1.0}}},
        {"model": {"llm": "b", "projector": "mlp"}},
        {"losses": {"resolution": "full"}},
        {"learn": {"projector": -1e-3}},
        {"learn": {"projector": float("nan")}},
        {"losses": {"lm": -1.0}},
        {"losses": {"mask_bce": float("inf")}},
        {"training": {"max_steps": 0}},
        {"training": {"save_every": 0}},
        {"training": {"weight_decay": -0.1}},
        {"training": {"betas": [0.9, 1.0]}},
        {"training": {"max_grad_norm": -1}},
        {"training": {"seed": -1}},
        {"training": {"epochs": 1e12}},
        {"data": [{"dataset": "a", "task": "res", "portion": 1e12}]},
        {"sampling": {"rates": [float("inf")], "samples_per_epoch": 1}},
        {"model": {"llm": "b", "lora": {"alpha": 0}}},
        {"generation": {"seed": 2**32}},
    ],
)
def test_values_out_of_range_are_refused(change):
    with pytest.raises(ValidationError):
        RunConfig(**RUN | change)


def test_an_evaluation_needs_a_row():
    with pytest.raises(ValidationError, match="at least 1 item"):
        EvaluationConfig(output_dir="a", model="b", evaluate=[])


def numeric_schemas(schema: dict, key: str = ""):
    """Yields (key, schema) of every number in a JSON schema."""
    if schema.get("type") in ("number", "integer"):
        yield key, schema
    for name, inner in (schema.get("properties") or {}).items():
        yield from numeric_schemas(inner, f"{key}.{name}")
    parts = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    parts += [schema.get("items"), schema.get("additionalProperties")]
    for inner in parts:
        if isinstance(inner, dict):
            yield from numeric_schemas(inner, key)
    for name, inner in schema.get("$defs", {}).items():
        yield from numeric_schemas(inner, name)


@pytest.mark.parametrize("config", [RunConfig, EvaluationConfig])
def test_every_number_has_a_bound(config):
    """But the layer of a tower, which counts from either end, and is looked up in the tower."""
    bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    numbers = dict(numeric_schemas(config.model_json_schema()))
    assert len(numbers) > (5 if config is EvaluationConfig else 30)
    unbounded = [key for key, schema in numbers.items() if not bounds & schema.keys()]
    assert [key for key in unbounded if key != "VisionConfig.layer"] == []
