"""SAM as a segmenter: its encoder of pictures, and its decoder, whose only prompt is a state (arXiv:2304.02643)."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamVisionConfig

from ullava.datasets.images import View
from ullava.models.backbones.vision_tower import Tower, chance_of, open_module, read_settings
from ullava.models.folders.trust import NEVER
from ullava.models.segmenters.base import SEGMENTERS, Decoded, Maps, Segmenter
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


class PromptCodes(nn.Module):
    """What the decoder adds to each prompt: "no mask" (1, C, 1, 1), and the codes of the grid's places (1, C, h, w)."""

    no_mask: Tensor
    places: Tensor

    def __init__(self, sam: SamModel):
        super().__init__()
        no_mask = sam.prompt_encoder.no_mask_embed.weight.detach().clone()
        self.register_buffer("no_mask", no_mask[..., None, None], persistent=False)
        places = sam.get_image_wide_positional_embeddings().detach().clone()
        self.register_buffer("places", places, persistent=False)


@SEGMENTERS.register("sam")
class SamSegmenter(Segmenter):
    """SAM's mask decoder behind its encoder.

    Args:
        sam: its mask decoder is the segmenter's; its prompt encoder gives the "no mask" vector and the place codes.
        tower: its encoder.
    """

    def __init__(self, sam: SamModel, tower: SamTower):
        super().__init__()
        self.prompt_width = cast(SamMaskDecoderConfig, sam.config.mask_decoder_config).hidden_size
        self.mask_decoder, self.tower = sam.mask_decoder, tower
        self.codes = PromptCodes(sam)

    @classmethod
    def open(cls, weights: str, *, key: str, from_scratch: bool, dtype: torch.dtype) -> "SamSegmenter":
        """Opens a SAM, a folder or a published file."""
        return cls(*open_sam(weights, from_scratch=from_scratch, dtype=dtype, key=key))

    @classmethod
    def frame(cls, weights: str) -> View:
        """The square of the SAM in a folder; of a published file, that of all its sizes."""
        if Path(weights).is_file():
            return square(SamVisionConfig(), weights)
        config = SamConfig.from_pretrained(weights, **NEVER)
        return square(cast(SamVisionConfig, config.vision_config), weights)

    def decode(self, maps: Maps, prompts: Tensor) -> Decoded:
        """(Q, K, 4h, 4w) logits and (Q, K) expected IoU of (Q, K, N, C) prompts over one (Q, C, h, w) map."""
        (features,) = maps
        masks, quality = self.mask_decoder(
            image_embeddings=features.to(prompts.dtype),
            image_positional_embeddings=self.codes.places.to(prompts.dtype).expand(len(features), -1, -1, -1),
            sparse_prompt_embeddings=prompts,
            dense_prompt_embeddings=self.codes.no_mask.to(prompts.dtype).expand(features.shape),
            multimask_output=False,
        )[:2]
        return Decoded(masks[:, :, 0], quality[:, :, 0])

    def blank(self) -> Maps:
        """One (1, C, h, w) map of no picture."""
        if not self.tower.learns:
            return (torch.zeros_like(self.codes.places),)
        side = self.view.side
        pixels = self.codes.places.new_zeros(1, side, side, 3, dtype=torch.uint8)
        return self.encode(pixels, [""], [(side, side)])

    def activation_bytes(self, itemsize: int) -> float:
        """The two-way blocks over the grid's places, upscaling, and losses over the whole square.

        Each block keeps about twelve tensors as wide as the grid's features; upscaling, by two and by two again at a
        quarter and an eighth of the channels, keeps each result thrice; the losses six of the square's numbers in
        float32.
        """
        channels, cells = self.prompt_width, self.codes.places.shape[2] * self.codes.places.shape[3]
        blocks = len(self.mask_decoder.transformer.layers) * 12 * channels * cells
        upscaled = 3 * (4 * cells * channels // 4 + 16 * cells * channels // 8)
        return itemsize * (blocks + upscaled) + 6 * 4 * self.view.side**2


def open_sam(
    folder: str, *, from_scratch: bool, dtype: torch.dtype, key: str = "model.heads.mask.sam"
) -> tuple[SamModel, SamTower]:
    """Opens a SAM, a folder or a published file: the whole model, for the mask head, and its encoder as a tower.

    Raises:
        FileNotFoundError, ValueError: as `open_module` and `convert/sam.py: open_file`.
    """
    if Path(folder).is_file():
        if from_scratch:
            raise ValueError(f"model.from_scratch: sam: {folder} is a file of weights; name a folder with config.json")
        sam = open_file(folder)
    else:
        sam = open_module(SamModel, SamConfig, folder, key, from_scratch, torch.float32)
    for module in sam.mask_decoder.transformer.modules():
        if isinstance(module, torch.nn.LayerNorm):
            # findings/sam_norm_eps.sh
            module.eps = 1e-5  # the published weights' own; transformers' default of 1e-6 moves logits by 4e-3
    if from_scratch:
        with chance_of(folder):
            revive(sam)
    settings = {"image_mean": MEAN, "image_std": STD}
    if Path(folder, "preprocessor_config.json").is_file():
        settings = read_settings(folder, "preprocessor_config.json", key)
    encoder = cast(nn.Module, sam.vision_encoder).to(dtype)  # transformers' own `to` loses its signature
    view = square(cast(SamVisionConfig, sam.config.vision_config), folder)
    return sam, SamTower(encoder, view, settings["image_mean"], settings["image_std"], folder)


def square(shape: SamVisionConfig, source: str) -> View:
    """How a picture lies in the square of the SAM in `source`.

    Raises:
        ValueError: its configuration names no one side.
    """
    if not isinstance(shape.image_size, int):
        raise ValueError(
            f"{source}: expected one number as image_size, found {shape.image_size}; take a SAM that sees squares"
        )
    return View(shape.image_size, "corner", background=(0, 0, 0))


def revive(sam: SamModel) -> None:
    """Gives a random SAM weights that can learn: transformers draws them with a deviation of 1e-10 and codes of 50."""
    # findings/sam_random_init.sh
    for module in sam.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    for name, parameter in sam.named_parameters():
        if name.endswith("pos_embed"):
            torch.nn.init.normal_(parameter, std=0.1)
    torch.nn.init.normal_(sam.shared_image_embedding.positional_embedding)
