"""The box head: its precision, and boxes on their way to the square and back."""

import numpy as np
import pytest
import torch

from ullava.datasets.images import View
from ullava.models.heads.box import BoxHead

WIDTH = 32


@pytest.fixture
def head():
    torch.manual_seed(0)
    return BoxHead(WIDTH, View(96), channels=16)


@pytest.fixture
def boxed(world, batch):
    """Three boxes in pictures of different sizes; the second region has no target."""
    turn = ("Where is it?", "[LOC].")
    regions = (world.region(0), world.region(1, mask=None), world.region(2, (1, 2, 30, 40)))
    return batch(*(world.dialogue(f"b{n}", [n], turn, regions=(region,)) for n, region in enumerate(regions)))


def test_boxes_stay_float32_under_bfloat16(head, boxed):
    states = torch.randn(3, WIDTH)
    exact = head(states, boxed)
    with torch.autocast("cpu", torch.bfloat16):
        found = head(states.bfloat16(), boxed)
    assert found.dtype == torch.float32
    rounded = head(states.bfloat16().float(), boxed)
    assert torch.equal(found, rounded)  # only the states were rounded, no layer
    assert not torch.equal(found, exact)


def test_without_promises_every_parameter_has_a_zero_gradient(head, world, batch):
    found = batch(world.chat())
    losses = head.losses(head(torch.zeros(0, WIDTH), found), found)
    assert {len(values) for values in losses.values()} == {0}
    sum(values.sum() for values in losses.values()).backward()
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())


def test_losses_are_of_promises_with_a_box(head, boxed):
    predicted = torch.zeros(3, 4)
    losses = head.losses(predicted, boxed)
    # 60 x 80 lies in a square of 80, ten pixels down; 50 x 50 is its own square.
    first = 20 / 80 + 20 / 80 + 50 / 80 + 40 / 80
    third = 1 / 50 + 2 / 50 + 30 / 50 + 40 / 50
    assert losses["box_l1"].tolist() == pytest.approx([first, third])
    assert losses["box_giou"].shape == (2,)


def test_results_are_the_targets_when_the_prediction_is(head, boxed):
    targets = head.targets(boxed.promised["[LOC]"])
    predicted = torch.stack([targets[0], torch.tensor([0.0, 0, 1, 1]), targets[1]])
    first, second, third = head.results(predicted, boxed)
    np.testing.assert_allclose(first, (20, 10, 50, 30), atol=1e-4)
    np.testing.assert_allclose(second, (0, 0, 48, 72))  # the whole square, clipped to a picture of 72 x 48
    np.testing.assert_allclose(third, (1, 2, 30, 40), atol=1e-4)
    assert all(isinstance(side, float) for side in first)


def test_boxes_may_be_fractions_of_the_picture(boxed):
    head = BoxHead(WIDTH, View(96), channels=16, within="picture")
    losses = head.losses(torch.zeros(3, 4), boxed)
    # (20, 10, 50, 30) in 60 x 80, (1, 2, 30, 40) in 50 x 50
    expected = [20 / 80 + 10 / 60 + 50 / 80 + 30 / 60, 1 / 50 + 2 / 50 + 30 / 50 + 40 / 50]
    assert losses["box_l1"].tolist() == pytest.approx(expected)
    predicted = torch.tensor([[0.25, 1 / 6, 0.625, 0.5], [-1.0, 0, 1, 2], [0.02, 0.04, 0.6, 0.8]])
    first, second, third = head.results(predicted, boxed)
    np.testing.assert_allclose(first, (20, 10, 50, 30), atol=1e-4)
    np.testing.assert_allclose(second, (0, 0, 48, 72))
    np.testing.assert_allclose(third, (1, 2, 30, 40), atol=1e-4)
