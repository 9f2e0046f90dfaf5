"""The detector's schooling: a caption names what its boxes say, and every term has its gradient."""

import numpy as np
import pytest
import torch

from ullava.datasets.tiny_world.scene import Scene, Thing
from ullava.models import losses
from ullava.pretraining import detector

RING = Thing("ring", "red", "plain", "small", 30, 42, 10)
SCENE = Scene((RING, Thing("square", "red", "dotted", "large", 70, 60, 15)))


@pytest.fixture(scope="module")
def tokenizer():
    return detector.tokenizer()


def test_a_phrase_names_the_things_that_have_what_it_says(tokenizer):
    encoded = tokenizer("red object . ring .", return_offsets_mapping=True)
    offsets = np.array(encoded["offset_mapping"])
    boxes, named = detector.target(SCENE, [{"color": "red"}, {"shape": "ring"}], offsets)
    said = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    words = [[token for token, here in zip(said, row, strict=True) if here] for row in named.tolist()]
    assert words == [["red", "object", "ring"], ["red", "object"]]
    assert (boxes[0] * 96).tolist() == pytest.approx([20, 32, 40, 52])  # a ring's half width is its radius


def test_what_no_phrase_names_has_no_box(tokenizer):
    offsets = np.array(tokenizer("ring .", return_offsets_mapping=True)["offset_mapping"])
    boxes, _ = detector.target(SCENE, [{"shape": "ring"}], offsets)
    assert len(boxes) == 1


def test_every_word_of_a_phrase_is_one_token(tokenizer):
    said = tokenizer.convert_ids_to_tokens(tokenizer("large dotted blue circle left of the rings")["input_ids"])
    assert said[1:-1] == ["large", "dotted", "blue", "circle", "left", "of", "the", "ring", "##s"]


def test_places_near_a_centre_propose_it():
    """Cells are 8 pixels: the centre (24, 24) is a corner of four of them, whose middles are 4 away."""
    truth = torch.tensor([[16, 16, 32, 32]]) / 96
    places, things = detector.nearest(torch.zeros(180, 3), torch.zeros(180, 4), truth, torch.ones(1, 3))
    assert places.tolist() == [2 * 12 + 2, 2 * 12 + 3, 3 * 12 + 2, 3 * 12 + 3] and set(things.tolist()) == {0}


def test_each_thing_has_a_query_of_its_own():
    truth = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    boxes = torch.tensor([[0.6, 0.6, 0.9, 0.8], [0.0, 0.0, 1.0, 1.0], [0.1, 0.1, 0.3, 0.3]])
    queries, things = detector.match(torch.zeros(3, 4), boxes, truth, torch.ones(2, 4, dtype=torch.bool))
    assert dict(zip(queries.tolist(), things.tolist(), strict=True)) == {2: 0, 0: 1}


def test_focal_loss_is_as_written():
    """At logit 0, p = .5: alpha .25 * .25 * log 2 where it is true, .75 * .25 * log 2 where not."""
    found = losses.focal(torch.zeros(2), torch.tensor([1.0, 0.0]))
    assert found.tolist() == pytest.approx([0.0625 * np.log(2), 0.1875 * np.log(2)])


def test_a_lesson_reaches_every_weight_but_the_frozen_backbone(tokenizer):
    finder = detector.Finder(tokenizer)
    batch = detector.sample(np.random.default_rng(0), tokenizer, 2)
    total, _ = detector.loss(finder, batch)
    total.backward()
    unreached = [name for name, p in finder.named_parameters() if p.grad is None and p.requires_grad]
    assert unreached == [] and np.isfinite(total.item())
    backbone = finder.detector.model.backbone.conv_encoder
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
