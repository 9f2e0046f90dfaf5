"""Losses against sums done by hand."""

import math

import pytest
import torch

from ullava.models.losses import box_giou, box_l1, contrastive, focal, mask_bce, mask_dice

HALF = 0.0  # logit of probability 1/2
SURE = 100.0  # logit of probability 1


def masks(*rows: str) -> torch.Tensor:
    """One mask per argument; its lines are parted by blanks."""
    return torch.tensor([[[float(cell == "#") for cell in line] for line in mask.split()] for mask in rows])


def test_bce_of_a_coin_is_log_two():
    assert mask_bce(torch.full((1, 2, 2), HALF), masks("#. ..")).tolist() == pytest.approx([math.log(2)])


def test_bce_is_the_mean_over_pixels():
    logits = torch.tensor([[[SURE, SURE], [-SURE, -SURE]]])
    # Three pixels are right and cost 0; the second one says 1 where 0 is true and costs its logit, 100: 100 / 4.
    assert mask_bce(logits, masks("#. ..")).tolist() == pytest.approx([25.0])


def test_dice_of_half_an_overlap():
    logits = torch.tensor([[[SURE, SURE, -SURE]]])
    # |p| = 2, |t| = 2, |p and t| = 1: 1 - (2 + 0.001) / (4 + 0.001)
    assert mask_dice(logits, masks(".##")).tolist() == pytest.approx([1 - 2.001 / 4.001])


def test_dice_of_two_empty_masks_is_zero():
    assert mask_dice(torch.full((1, 2, 2), -SURE), torch.zeros(1, 2, 2)).tolist() == pytest.approx([0.0])


def test_dice_of_an_empty_target_is_nearly_one():
    # |p| = 4, |t| = 0: 1 - 0.001 / 4.001
    assert mask_dice(torch.full((1, 2, 2), SURE), torch.zeros(1, 2, 2)).tolist() == pytest.approx([1 - 0.001 / 4.001])


def test_l1_is_the_sum_of_four():
    assert box_l1(torch.tensor([[0.1, 0.2, 0.5, 0.9]]), torch.tensor([[0.0, 0.4, 0.5, 0.5]])).tolist() == (
        pytest.approx([0.1 + 0.2 + 0.0 + 0.4])
    )


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 2, 2), 0.0),
        ((1, 0, 3, 2), 1 - 2 / 6 + 0 / 6),  # overlap 2, union 6, hull 3 x 2 = 6
        ((2, 2, 4, 4), 1 - 0 / 8 + 8 / 16),  # they touch in a corner: union 8, hull 16
        ((4, 0, 6, 2), 1 - 0 / 8 + 4 / 12),  # apart: union 8, hull 6 x 2 = 12
        ((2, 2, 0, 0), 1 - 0 / 4 + 0 / 4),  # inverted: covers nothing, union and hull are the target, 4
        ((4, 4, 3, 3), 1 - 0 / 4 + 12 / 16),  # inverted and away: hull 4 x 4
        ((1, 1, 1, 1), 1.0),  # a point inside
    ],
)
def test_giou_by_hand(box, expected):
    found = box_giou(torch.tensor([box], dtype=torch.float32), torch.tensor([[0.0, 0, 2, 2]]))
    assert found.tolist() == pytest.approx([expected], abs=1e-6)


def test_an_inverted_box_is_pushed_back_by_its_losses():
    box = torch.tensor([[0.6, 0.6, 0.2, 0.2]], requires_grad=True)
    target = torch.tensor([[0.3, 0.3, 0.5, 0.5]])
    (box_giou(box, target) + box_l1(box, target)).sum().backward()
    assert (box.grad[0, :2] > 0).all()  # descending, the first corner falls
    assert (box.grad[0, 2:] < 0).all()  # and the second one rises


@pytest.mark.parametrize("loss", [mask_bce, mask_dice])
def test_each_mask_has_a_number_of_its_own(loss):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 5, 4, generator=rng)
    targets = (torch.rand(3, 5, 4, generator=rng) > 0.5).float()
    alone = torch.cat([loss(logits[n : n + 1], targets[n : n + 1]) for n in range(3)])
    assert torch.equal(loss(logits, targets), alone)


@pytest.mark.parametrize("loss", [box_l1, box_giou])
def test_each_box_has_a_number_of_its_own(loss):
    rng = torch.Generator().manual_seed(0)
    boxes, targets = torch.rand(3, 4, generator=rng), torch.tensor([[0.1, 0.2, 0.5, 0.6]]).expand(3, 4)
    assert torch.equal(loss(boxes, targets), torch.cat([loss(boxes[n : n + 1], targets[n : n + 1]) for n in range(3)]))


@pytest.mark.parametrize("loss", [box_l1, box_giou])
def test_no_box_gives_no_number(loss):
    assert loss(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


@pytest.mark.parametrize("loss", [mask_bce, mask_dice])
def test_losses_are_float32_also_under_bfloat16(loss):
    assert loss(torch.zeros(1, 2, 2, dtype=torch.bfloat16), torch.zeros(1, 2, 2)).dtype == torch.float32


def test_pixels_that_do_not_count_change_no_mask_loss():
    logits = torch.tensor([[[2.0, -1.0], [0.5, 3.0]]])
    drawn, counted = torch.tensor([[[1, 0], [0, 1]]]), torch.tensor([[[1, 1], [0, 0]]])
    row = slice(0, 1)  # what is left of it when the second row does not count
    for loss in (mask_bce, mask_dice):
        assert loss(logits, drawn, counted).item() == pytest.approx(loss(logits[:, row], drawn[:, row]).item())
        assert loss(logits, drawn, counted).item() != pytest.approx(loss(logits, drawn).item())


def test_a_mask_of_which_nothing_counts_costs_nothing_and_has_no_nan():
    logits = torch.zeros(1, 2, 2, requires_grad=True)
    nothing = torch.zeros(1, 2, 2)
    total = mask_bce(logits, nothing, nothing) + mask_dice(logits, nothing, nothing)
    total.sum().backward()
    assert total.item() == 0 and logits.grad.abs().sum() == 0


def test_focal_loss_weighs_classes_and_what_is_missed():
    # At logit 0 each is missed by 1/2: alpha (1/2)^2 ln 2 = 0.25 x 0.25 x 0.693147 where true, 0.75 x ... where not.
    assert focal(torch.zeros(2), torch.tensor([1.0, 0.0])).tolist() == pytest.approx([0.0433217, 0.1299651], abs=1e-6)


def test_a_contrast_counts_both_ways_and_shares_out_names():
    similarity = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    # log-sum-exp of the rows: 2.313262, 0.693147; of the columns: 1.313262, 2.126928. Half of each, less the right one.
    own = contrastive(similarity, torch.eye(2))
    assert own.tolist() == pytest.approx([0.813262, 1.410038], abs=1e-5)
    # The first thing has both names: the mean of 0.813262 and (2.313262 + 2.126928) / 2 - 2 = 0.220095.
    shared = contrastive(similarity, torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
    assert shared.tolist() == pytest.approx([0.516679, 1.410038], abs=1e-5)
