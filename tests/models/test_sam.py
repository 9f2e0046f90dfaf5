"""SAM's two ends against transformers' own processing."""

import numpy as np
import pytest
import torch
from transformers import SamImageProcessor, SamModel

from ullava.datasets import images
from ullava.models.sam import invert, open_sam

SIZES = [(60, 80), (72, 48), (50, 50)]


@pytest.fixture(scope="module")
def tower(zoo):
    return open_sam(str(zoo / "sam"), from_scratch=False, dtype=torch.float32)[1]


@pytest.fixture(scope="module")
def processor(zoo):
    """Of the Pillow kind: it needs no torchvision."""
    return SamImageProcessor(
        size={"longest_edge": 96}, pad_size={"height": 96, "width": 96},
        image_mean=[0.5, 0.4, 0.3], image_std=[0.25] * 3,
    )  # fmt: skip


def test_masks_come_back_as_by_transformers(tower):
    logits = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    for logit, size, found in zip(logits, SIZES, invert(logits, tower.view, SIZES), strict=True):
        height, width = tower.view.resized(size)
        square = torch.nn.functional.interpolate(logit[None, None], (96, 96), mode="bilinear", align_corners=False)
        expected = torch.nn.functional.interpolate(
            square[..., :height, :width], size, mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(found, expected[0, 0])


def test_pictures_of_one_size_come_back_in_their_order(tower):
    logits = torch.arange(3.0)[:, None, None].expand(3, 32, 32)
    found = invert(logits, tower.view, [(60, 80), (50, 50), (60, 80)])
    assert [(tuple(mask.shape), float(mask.mean())) for mask in found] == [((60, 80), 0), ((50, 50), 1), ((60, 80), 2)]


def test_padding_is_zero_after_normalisation(tower, world):
    sizes = SIZES[:2]
    seen = []
    tower_pixels = torch.from_numpy(np.stack([tower.view.apply(images.read(world.picture(n))) for n in (0, 1)]))
    module, tower.module = tower.module, Spy(tower.module, seen)
    try:
        tower.features(tower.normalise(tower_pixels), sizes)
    finally:
        tower.module = module
    (pixels,) = seen
    assert pixels[0, :, 72:].abs().max() == 0  # 60 x 80 becomes 72 x 96
    assert pixels[1, :, :, 64:].abs().max() == 0  # 72 x 48 becomes 96 x 64
    assert pixels[0, :, :72].abs().min() > 0 or pixels[0, :, :72].abs().mean() > 0.1


class Spy(torch.nn.Module):
    """Notes what a network is fed."""

    def __init__(self, module, seen):
        super().__init__()
        self.module, self.seen = module, seen

    def forward(self, pixels):
        self.seen.append(pixels.clone())
        return self.module(pixels)


def test_features_are_sams_own(tower, zoo, world):
    pixels = torch.from_numpy(tower.view.apply(images.read(world.picture(2))))[None]
    whole = SamModel.from_pretrained(zoo / "sam").eval()
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25] * 3)
    with torch.no_grad():
        expected = whole.get_image_embeddings(((pixels / 255 - mean) / std).permute(0, 3, 1, 2))
    found = tower.encode(pixels, ["square"], [(50, 50)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_sam_from_scratch_is_alive(zoo):
    torch.manual_seed(0)
    whole, tower = open_sam(str(zoo / "sam"), from_scratch=True, dtype=torch.float32)
    pixels = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    features = tower.encode(pixels, "ab", [(96, 96)] * 2)
    assert (features[0] - features[1]).abs().mean() > 0.01
    assert whole.shared_image_embedding.positional_embedding.std() < 2
