"""SAM's two ends against transformers' own processing."""

import json

import numpy as np
import pytest
import torch
from transformers import SamModel

from ullava.datasets import images
from ullava.models.segmenters.base import invert
from ullava.models.segmenters.sam import SamSegmenter, open_sam

SIZES = [(60, 80), (72, 48), (50, 50)]


@pytest.fixture(scope="module")
def tower(zoo):
    return open_sam(str(zoo / "sam"), from_scratch=False, dtype=torch.float32)[1]


@pytest.fixture(scope="module")
def official():
    """Transformers' own processing, of the kind that needs no torchvision."""
    module = pytest.importorskip("transformers.models.sam.image_processing_pil_sam")
    return module.SamImageProcessorPil(
        size={"longest_edge": 96}, pad_size={"height": 96, "width": 96},
        image_mean=[0.5, 0.4, 0.3], image_std=[0.25] * 3,
    )  # fmt: skip


def test_masks_come_back_as_by_transformers(tower, official):
    logits = torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    resized = [tower.view.resized(size) for size in SIZES]
    expected = official.post_process_masks(list(logits[:, None]), SIZES, resized, binarize=False)
    for found, mask in zip(invert(logits[:, 0], tower.view, SIZES), expected, strict=True):
        torch.testing.assert_close(found, mask[0, 0])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_pictures_go_in_as_by_transformers(tower, official, world, number):
    picture, seen = images.read(world.picture(number)), []
    expected = official(picture, return_tensors="pt")["pixel_values"]
    module, tower.module = tower.module, Spy(tower.module, seen)
    try:
        tower.features(tower.normalise(torch.from_numpy(tower.view.apply(picture))[None]), [picture.shape[:2]])
    finally:
        tower.module = module
    torch.testing.assert_close(seen[0], expected, atol=1e-4, rtol=0)


def test_pictures_of_one_size_come_back_in_their_order(tower):
    logits = torch.arange(3.0)[:, None, None].expand(3, 32, 32)
    found = invert(logits, tower.view, [(60, 80), (50, 50), (60, 80)])
    assert [(tuple(mask.shape), float(mask.mean())) for mask in found] == [((60, 80), 0), ((50, 50), 1), ((60, 80), 2)]


class Spy(torch.nn.Module):
    """Notes what a network is fed."""

    def __init__(self, module, seen):
        super().__init__()
        self.module, self.seen = module, seen

    def forward(self, pixels):
        self.seen.append(pixels.clone())
        return self.module(pixels)


def test_pictures_of_different_sizes_are_padded_each_as_alone(tower, world):
    pictures = [images.read(world.picture(number)) for number in range(3)]
    pixels = torch.from_numpy(np.stack([tower.view.apply(picture) for picture in pictures]))
    module, seen = tower.module, []
    tower.module = Spy(module, seen)
    try:
        tower.features(tower.normalise(pixels), SIZES)
    finally:
        tower.module = module
    # 60 x 80 fills 72 x 96 of the square of 96, 72 x 48 fills 96 x 64, 50 x 50 all of it
    for picture, (height, width) in zip(seen[0], [(72, 96), (96, 64), (96, 96)], strict=True):
        outside = picture.clone()
        outside[:, :height, :width] = 0
        assert not outside.any() and picture[:, :height, :width].abs().mean() > 0.1


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


def test_the_decoder_norms_as_the_published_one_does(zoo):
    """PyTorch's 1e-5, which segment-anything leaves as it is; transformers builds its decoder with 1e-6."""
    decoder = open_sam(str(zoo / "sam"), from_scratch=False, dtype=torch.float32)[0].mask_decoder
    norms = [module for module in decoder.transformer.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert norms and {norm.eps for norm in norms} == {1e-5}


def test_a_sam_of_oblong_pictures_is_refused(zoo, tmp_path):
    settings = json.loads((zoo / "sam" / "config.json").read_text())
    settings["vision_config"]["image_size"] = [96, 64]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"expected one number as image_size, found \[96, 64\]; take a SAM"):
        SamSegmenter.frame(str(tmp_path))
