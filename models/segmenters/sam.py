"""SAM's two ends: the frozen encoder of pictures, and the way of its square back to the original (arXiv:2304.02643)."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SamConfig, SamModel, SamVisionConfig

from ullava.datasets.images import View
from ullava.models.backbones.vision_tower import Tower, chance_of, open_module, read_settings
from ullava.models.folders.trust import NEVER
from ullava.models.segmenters.sam_weights import open_file

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # segment-anything, modeling/sam.py; for folders without them


class SamTower(Tower):
    """SAM's image encoder. Of one picture, ViT-H holds 4096 x 4096 scores for each of 16 heads."""

    at_once = 4

    def features(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """(N, 3, S, S) -> (N, C, h, w)."""
        return self.module(self.inside(pixels, sizes))[0]

    def inside(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Normalised (N, 3, S, S) pixels with zeros right of and below each picture, as SAM pads."""
        line = torch.arange(self.view.side, device=pixels.device)
        inside = torch.tensor([self.view.resized(size) for size in sizes], device=pixels.device)[..., None] > line
        return pixels * (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]


def open_sam(folder: str, *, from_scratch: bool, dtype: torch.dtype) -> tuple[SamModel, SamTower]:
    """Opens a SAM, a folder or a published file: the whole model, for the mask head, and its encoder as a tower.

    Raises:
        FileNotFoundError, ValueError: as `open_module` and `convert/sam.py: open_file`.
    """
    key = "model.heads.mask.sam"
    if Path(folder).is_file():
        if from_scratch:
            raise ValueError(f"model.from_scratch: sam: {folder} is a file of weights; name a folder with config.json")
        sam = open_file(folder)
    else:
        sam = open_module(SamModel, SamConfig, folder, key, from_scratch, torch.float32)
    for module in sam.mask_decoder.transformer.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 1e-5  # the published weights' own; transformers' default of 1e-6 moves logits by 4e-3
    if from_scratch:
        with chance_of(folder):
            revive(sam)
    settings = {"image_mean": MEAN, "image_std": STD}
    if Path(folder, "preprocessor_config.json").is_file():
        settings = read_settings(folder, "preprocessor_config.json", key)
    view = View(sam.config.vision_config.image_size, "corner", background=(0, 0, 0))
    tower = SamTower(sam.vision_encoder.to(dtype), view, settings["image_mean"], settings["image_std"], folder)
    return sam, tower


def sam_view(folder: str) -> View:
    """How a picture lies in the square of the SAM in `folder`; of a published file, in that of all its sizes."""
    shape = SamVisionConfig() if Path(folder).is_file() else SamConfig.from_pretrained(folder, **NEVER).vision_config
    return View(shape.image_size, "corner", background=(0, 0, 0))


def revive(sam: SamModel) -> None:
    """Gives a random SAM weights that can learn: transformers draws them with a deviation of 1e-10 and codes of 50."""
    for module in sam.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    for name, parameter in sam.named_parameters():
        if name.endswith("pos_embed"):
            torch.nn.init.normal_(parameter, std=0.1)
    torch.nn.init.normal_(sam.shared_image_embedding.positional_embedding)


def invert(logits: Tensor, view: View, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Brings (N, h, w) logits over SAM's square to the originals' sizes: N tensors (H, W), as SAM's own postprocessing.

    Masks of one size go together, so that a batch of equal pictures is one call.
    """
    found: list[Tensor | None] = [None] * len(sizes)
    for size in dict.fromkeys(sizes):
        numbers = [n for n, other in enumerate(sizes) if other == size]
        height, width = view.resized(size)
        square = F.interpolate(logits[numbers, None].float(), (view.side, view.side), mode="bilinear")
        masks = F.interpolate(square[..., :height, :width], size, mode="bilinear")[:, 0]
        for n, mask in zip(numbers, masks, strict=True):
            found[n] = mask
    return found
