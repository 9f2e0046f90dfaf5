"""Running statistics of states, by hand."""

import torch

from ullava.models.heads.standardise import Standardise


def test_the_first_batch_is_standardised_by_itself():
    layer = Standardise(2)
    found = layer(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    torch.testing.assert_close(found, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))


def test_later_batches_replace_their_part():
    layer = Standardise(1, momentum=0.5)
    for value in (0.0, 4.0, 8.0):  # means of all batches at first, then half by half: 0, 2, 5
        layer(torch.full((3, 1), value))
    assert layer.mean.item() == 5 and layer.seen.item() == 2
    # variance: 0; half of it and of (4 - 2)^2: 2; half of that and of (8 - 5)^2: 5.5
    assert layer.variance.item() == 5.5


def test_no_state_changes_nothing():
    layer = Standardise(2)
    layer(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    assert layer(torch.empty(0, 2)).shape == (0, 2)
    layer(torch.zeros(1, 2), counted=False)
    assert all(torch.equal(buffer, before[name]) for name, buffer in layer.named_buffers())


def test_evaluation_reads_and_does_not_count():
    layer = Standardise(1)
    layer(torch.tensor([[1.0], [3.0]]))
    layer.eval()
    torch.testing.assert_close(layer(torch.tensor([[5.0]])), torch.tensor([[3.0]]))
    assert layer.mean.item() == 2


def test_gradients_pass_through():
    layer, states = Standardise(1), torch.tensor([[1.0], [3.0]], requires_grad=True)
    layer(states).sum().backward()
    torch.testing.assert_close(states.grad, torch.ones(2, 1))
