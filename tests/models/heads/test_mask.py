"""The mask head against SAM itself, and its losses while it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import SamModel

from ullava.datasets.masks import IGNORED
from ullava.models.batching.collator import stand
from ullava.models.heads.mask import MaskLogits
from ullava.models.losses import mask_bce, mask_dice

WIDTH = 32  # of the tiny language model


@pytest.fixture
def head(fresh):
    return fresh().model.heads["mask"]


@pytest.fixture
def crowded(world, batch):
    """Two pictures: the first owns two masks, the second one; a third row has none."""
    say = ("Where is it?", "[SEG], [SEG].")
    pair = world.dialogue("pair", [0], say, regions=(world.region(0), world.region(0, (40, 20, 80, 60))))
    return batch(pair, world.chat(), world.segment(1))


def states(count: int) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(1))


def test_a_batch_is_decoded_as_by_sam_one_prompt_at_a_time(head, crowded, zoo):
    whole = SamModel.from_pretrained(zoo / "sam").eval()
    with torch.no_grad():
        found = head(states(3), crowded).logits
        prompts = head.project(states(3))
        (features,) = head.encode(crowded, [0, 1])
        for n, frame in enumerate((0, 0, 1)):
            dense = whole.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, 8, 8)
            alone = whole.mask_decoder(
                image_embeddings=features[[frame]],
                image_positional_embeddings=whole.get_image_wide_positional_embeddings(),
                sparse_prompt_embeddings=prompts[n].reshape(1, 1, 1, -1),
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )[0]
            torch.testing.assert_close(found[n], alone[0, 0, 0], atol=1e-5, rtol=0)


def test_without_promises_every_parameter_still_has_a_gradient(head, world, batch):
    head.requires_grad_(True)
    predicted = head(states(0), batch(world.chat()))
    losses = head.losses(predicted, batch(world.chat()))
    assert {name: len(values) for name, values in losses.items()} == {"mask_bce": 0, "mask_dice": 0}
    sum(values.sum() for values in losses.values()).backward()
    without = {name for name, parameter in head.named_parameters() if parameter.grad is None}
    assert all("iou_prediction_head" in name for name in without)  # no loss reaches it
    assert all(not p.grad.any() for p in head.parameters() if p.grad is not None)


def test_promises_without_masks_give_no_loss_and_zero_gradients(head, world, batch):
    bare = world.dialogue("bare", [0], ("Where is it?", "[SEG]."), regions=(world.region(mask=None),))
    found = batch(bare)
    losses = head.losses(head(states(1), found), found)
    assert {len(values) for values in losses.values()} == {0}
    sum(values.sum() for values in losses.values()).backward()
    assert not head.project[0].weight.grad.any()


@pytest.mark.parametrize("resolution", ["original", "decoder"])
def test_masks_are_learned_at_both_resolutions(head, crowded, resolution):
    head.resolution = resolution
    given = 3 * states(3)
    optimizer = torch.optim.AdamW([p.requires_grad_(True) for p in head.parameters()], lr=1e-2)
    history = []
    for _ in range(25):
        losses = head.losses(head(given, crowded), crowded)
        history.append({name: float(values.detach().sum()) for name, values in losses.items()})
        sum(values.sum() for values in losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    for name in ("mask_bce", "mask_dice"):
        assert history[-1][name] < 0.6 * history[0][name]


def test_losses_stand_in_the_order_of_the_promises(head, world, batch):
    """Pictures of two sizes, mixed: each promise is compared with its own mask."""
    turn = ("Where is it?", "[SEG].")
    boxes = {0: (20, 10, 50, 30), 1: (0, 0, 48, 72)}
    mixed = [world.dialogue(f"m{n}", [n], turn, regions=(world.region(n, boxes[n]),)) for n in (0, 1, 0)]
    found = batch(*mixed)
    with torch.no_grad():
        predicted = head(states(3), found)
        together = head.losses(predicted, found)["mask_dice"]
        probabilities = head.results(predicted, found)
    for loss, probability, region in zip(together, probabilities, (d.promises[0].region for d in mixed), strict=True):
        p, t = probability.astype(float), region.mask.draw()
        assert float(loss) == pytest.approx(1 - (2 * p[t].sum() + 1e-3) / (p.sum() + t.sum() + 1e-3), abs=1e-5)


def test_decoder_resolution_leaves_the_padding_out(head, world, batch):
    """A picture of 60 x 80 fills 72 of SAM's 96 rows: 24 of the decoder's 32."""
    head.resolution = "decoder"
    full = torch.ones(60, 80, dtype=torch.uint8)
    promised = replace(stand([(0, 0)], [0], [(60, 80)]), masks=(full,), with_mask=(0,))
    ((_, logits, targets, counted),) = head.compared(torch.zeros(1, 32, 32), promised, [(60, 80)])
    assert counted is None
    assert logits.shape == targets.shape == (1, 24, 32)
    assert targets.min() == targets.max() == 1
    assert mask_bce(logits, targets).tolist() == pytest.approx([np.log(2)])
    # p = 1/2 everywhere, t = 1: 1 - (768 + 0.001) / (384 + 768 + 0.001)
    assert mask_dice(logits, targets).tolist() == pytest.approx([1 - 768.001 / 1152.001])


@pytest.mark.parametrize("resolution", ["original", "decoder"])
def test_what_is_drawn_on_ignored_pixels_costs_nothing(head, resolution):
    head.resolution = resolution
    mask = torch.zeros(60, 80, dtype=torch.uint8)
    mask[:30] = 1
    mask[:, 40:] = IGNORED
    promised = replace(stand([(0, 0)], [0], [(60, 80)]), masks=(mask,), with_mask=(0,), ignoring=True)
    logits = torch.zeros(1, 32, 32)
    logits[:, :12], logits[:, 12:] = 50, -50  # 12 of the decoder's 24 rows are the 30 upper ones
    wrong = logits.clone()
    wrong[:, :, 17:] *= -1  # only where nothing counts
    for predicted in (logits, wrong):
        found = head.losses(MaskLogits(predicted, promised), None)
        assert found["mask_dice"].item() < 0.02
    assert head.losses(MaskLogits(wrong, replace(promised, ignoring=False)), None)["mask_dice"].item() > 0.3


def test_results_are_probabilities_of_the_original_size(head, crowded):
    results = head.results(head(states(3), crowded), crowded)
    assert [mask.shape for mask in results] == [(60, 80), (60, 80), (72, 48)]
    assert all(mask.dtype == np.float32 and mask.min() >= 0 and mask.max() <= 1 for mask in results)
