"""What keeps a network from being put together is found without its weights."""

import pytest

from ullava.checking.network_checks import network_faults
from ullava.configs.schema import RunConfig
from ullava.models.assembly import assemble
from ullava.models.folders import checkpoints


@pytest.fixture(scope="module")
def parent(recipe, tmp_path_factory):
    """The folder of a run with a mask and a box head."""
    folder = tmp_path_factory.mktemp("parent")
    assembled = assemble(recipe())
    checkpoints.save(folder, assembled.model, assembled.config, assembled.processor.tokenizer)
    return folder


@pytest.fixture
def faults(recipe):
    def of(learn=None, **model) -> list[str]:
        section = recipe(**model).model_dump(mode="json")
        data = [{"dataset": "toy", "task": "res"}]
        run = {"output_dir": "out", "model": section, "learn": learn or {"projector": 1e-3}, "data": data}
        return list(network_faults(RunConfig.model_validate(run)))

    return of


def test_a_network_that_can_be_made_has_no_faults(faults, parent):
    assert faults() == [] == faults(llm=str(parent))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"projector": "linear"}, "model.projector: {parent} has learned 'mlp2', the YAML names 'linear'"),
        ({"heads": {}}, "model.heads: {parent} has learned the head(s) box, mask, which the YAML does not name"),
        ({"heads": {"mask": {"sam": "{sam}"}, "box": {"channels": 8}}}, "weights do not fit this model; heads.box."),
    ],
)
def test_what_a_parent_learned_is_compared(faults, parent, zoo, model, message):
    if "mask" in model.get("heads", {}):
        model = {"heads": model["heads"] | {"mask": {"sam": str(zoo / "sam")}}}
    (fault,) = faults(llm=str(parent), **model)
    assert message.format(parent=parent) in fault


def test_a_parent_without_its_foundations_or_weights_is_told(faults, parent, tmp_path):
    for name in ("ullava.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((parent / name).read_bytes())
    (fault,) = faults(llm=str(tmp_path))
    assert "learned.safetensors: no such file or folder" in fault


@pytest.mark.parametrize(
    ("learn", "model", "message"),
    [
        ({"lora": 1e-3}, {}, "learn.lora: this model has no such parameters"),
        (None, {"lora": {"targets": ["x_proj"]}}, "model.lora.targets: no linear layer 'x_proj'"),
        (None, {"vision": {"tower": "{clip}", "layer": -9}}, "model.vision.layer: expected"),
    ],
)
def test_what_a_new_network_lacks_is_told(faults, zoo, learn, model, message):
    if "vision" in model:
        model = {"vision": model["vision"] | {"tower": str(zoo / "clip")}}
    (fault,) = faults(learn, **model)
    assert message in fault
