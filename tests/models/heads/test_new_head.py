"""A head from elsewhere is one class: nothing else is edited for it, from the YAML's weight of its loss to its step."""

import pytest
import torch
from torch import nn

from ullava.configs.load import ConfigError, build
from ullava.configs.schema import LossConfig, RunConfig
from ullava.configs.tokens import KEY, LOC
from ullava.models.assembly import assemble
from ullava.models.batching.collator import Collator
from ullava.models.folders import manifest
from ullava.models.heads.base import HEADS, Head
from ullava.models.heads.mask import MaskHead
from ullava.models.processor_from_config import processor_from_config
from ullava.models.stages import REGISTERED, prepare


class Point(Head):
    """The centre of a box, as fractions of the picture."""

    token = LOC
    losses_named = {"point_l1": "box"}
    loss_weights = {"point_l1": 3.0}

    def __init__(self, width: int, *, hidden: int = 8):
        super().__init__()
        self.regress = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, states, batch, *further):
        used = states if len(states) else states.new_zeros(1, states.shape[1])
        return self.regress(used)[: len(states)]

    def losses(self, predicted, batch):
        promised = batch.promised[LOC]
        centres = (promised.boxes[:, :2] + promised.boxes[:, 2:]).float() / 2
        return {"point_l1": (predicted[list(promised.with_box)] - centres).abs().sum(1)}

    def results(self, predicted, batch):
        return [tuple(point) for point in predicted.tolist()]


@pytest.fixture
def registered(monkeypatch):
    """Registers a head for one test."""
    monkeypatch.setattr(LossConfig, "declared", dict(LossConfig.declared))
    monkeypatch.setattr(manifest, "FOUNDED", dict(manifest.FOUNDED))

    def register(cls, name: str = "point"):
        monkeypatch.setitem(HEADS, name, None)  # so that it is gone afterwards
        del HEADS[name]
        return HEADS.register(name)(cls)

    return register


@pytest.fixture
def run(recipe):
    """Makes a run's YAML tree with the point head."""

    def make(**changes) -> dict:
        model = recipe(heads=recipe().heads | {"point": {"hidden": 4}}).model_dump(mode="json")
        data = [{"dataset": "tiny_train", "task": "rec"}]
        return {"output_dir": "out", "model": model, "learn": {"heads": 1e-2}, "data": data} | changes

    return make


def learned(config: RunConfig, world) -> list[float]:
    """The new head's loss before each of ten steps."""
    assembled = assemble(config.model, losses=config.losses)
    model = assembled.model
    groups, _ = prepare(model, config.learn)
    optimizer, history = torch.optim.AdamW(groups), []
    rows = [assembled.processor(world.segment(n)) for n in (0, 1)]
    batch = Collator(assembled.processor.tokenizer.pad_token_id, model.tokens)(rows)
    for _ in range(10):
        losses = model(batch)
        history.append(float(losses.parts["point_l1"].detach()))
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()
    return history


def test_a_head_learns_without_an_edit_elsewhere(registered, run, world):
    registered(Point)
    config = build(RunConfig, run(losses={"lm": 0, "point_l1": 2.0}), "x.yaml")
    assert config.losses.weights()["point_l1"] == 2.0
    history = learned(config, world)
    assert history[-1] < 0.6 * history[0]


def test_the_total_weighs_its_loss_by_what_the_class_says(registered, run, world, still):
    registered(Point)
    config = build(RunConfig, run(), "x.yaml")
    assembled = assemble(config.model, losses=config.losses)
    row = assembled.processor(world.segment(0))
    batch = Collator(assembled.processor.tokenizer.pad_token_id, assembled.model.tokens)([row])
    with torch.no_grad():
        losses = assembled.model(batch)
    weights = {"lm": 1.0, "mask_bce": 2.0, "mask_dice": 0.5, "box_l1": 1.0, "box_giou": 1.0, "point_l1": 3.0}
    expected = sum(weight * float(losses.parts[name]) for name, weight in weights.items())
    assert float(losses.total) == pytest.approx(expected)
    assert processor_from_config(config.model)(world.segment(0)).input_ids.tolist() == row.input_ids.tolist()


def test_a_misspelt_weight_is_refused_by_the_nearest_name(registered, run):
    registered(Point)
    with pytest.raises(ConfigError, match="x.yaml: losses: no key 'point_l2'; did you mean 'point_l1'"):
        build(RunConfig, run(losses={"point_l2": 1.0}), "x.yaml")
    with pytest.raises(ConfigError, match="x.yaml: losses: no key 'mask_bse'; did you mean 'mask_bce'"):
        build(RunConfig, run(losses={"mask_bse": 1.0}), "x.yaml")


def test_a_saved_configuration_is_read_again(registered, run):
    registered(Point)
    config = build(RunConfig, run(losses={"point_l1": 2.0}), "x.yaml")
    assert build(RunConfig, config.model_dump(mode="json"), "x.yaml") == config


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"point_l2": "box"}, "head 'point' gives the loss 'point_l1'; declare it in its losses_named"),
        ({"point_l1": "boxes"}, r"losses_named\['point_l1'\]: nothing counts 'boxes'; did you mean 'box'"),
    ],
)
def test_a_loss_that_is_not_declared_is_named(registered, run, world, declared, message):
    registered(type("Other", (Point,), {"losses_named": declared}))
    with pytest.raises(LookupError, match=message):
        learned(build(RunConfig, run(), "x.yaml"), world)


def test_a_head_may_read_a_token_that_ours_do_not(registered, run, world):
    """Its loss is a mean over that token's own boxes."""
    named = type("Named", (Point,), {"token": KEY, "losses_named": {"point_l1": "keyword"}})
    named.losses = lambda self, predicted, batch: {"point_l1": predicted.abs().sum(1)}
    registered(named)
    config = build(RunConfig, run(), "x.yaml")
    model = assemble(config.model, losses=config.losses).model
    assert model.tokens == ("[LOC]", "[SEG]", "[KEY]")  # box, mask, point


def test_two_heads_with_frames_of_their_own_are_refused(registered, recipe):
    registered(type("Second", (MaskHead,), {"loss_weights": {}}), "second")
    heads = recipe().heads | {"second": recipe().heads["mask"]}
    with pytest.raises(ValueError, match="model.heads: mask and second look at different frames"):
        assemble(recipe(heads=heads))


@pytest.mark.parametrize("name", sorted(HEADS))
def test_what_shipped_heads_declare_is_what_light_programs_know(name):
    """Those who may not import heads keep the same tables: the schema, the cards, what learns."""
    cls = HEADS[name]
    weights = LossConfig().weights()
    assert {loss: weights[loss] for loss in cls.losses_named} == {
        loss: cls.loss_weights.get(loss, 1.0) for loss in cls.losses_named
    }
    assert not LossConfig.declared.keys() & cls.losses_named.keys()
    assert cls.tower_part is None or cls.tower_part in REGISTERED
    known = {option: base for (head, option), base in manifest.FOUNDED.items() if head == name}
    assert cls.foundations == known
