"""Masks from [SEG]: its projected state is SAM's only prompt (LISA, arXiv:2308.00692; u-LLaVA, arXiv:2311.05348)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SamModel

from ullava.configs.registry import make
from ullava.configs.tokens import KEY, SEG
from ullava.datasets.images import View
from ullava.datasets.masks import IGNORED
from ullava.models import losses
from ullava.models.batching.batch import Batch, Promised
from ullava.models.heads.base import HEADS, Head, Parts
from ullava.models.heads.keyword_reader import KeywordReader
from ullava.models.heads.standardise import Standardise
from ullava.models.segmenters.sam import SamTower, invert, open_sam, sam_view


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class MaskLogits:
    """Masks of N promises over SAM's square.

    Attributes:
        logits: (N, h, w).
        promised: what they are for.
        quality: (N,) the IoU that the decoder expects of each.
        features: (Q, C, h / 4, w / 4) what SAM sees in the pictures that own a promise; a blank where none does.
        keys: the projected states of the keywords that were heard.
    """

    logits: Tensor
    promised: Promised
    quality: Tensor | None = None
    features: Tensor | None = None
    keys: Tensor | None = None


@HEADS.register("mask")
class MaskHead(Head):
    """Decodes each [SEG] state into a mask; all promises of a batch in one call of the decoder.

    Args:
        width: of the language model.
        sam: its mask decoder is the head's; its prompt encoder gives the "no mask" vector and the place codes.
        tower: its frozen image encoder.
        resolution: where masks are compared, "original" or "decoder".
        standardise: whether to take off the states what they have in common; for heads that begin at random.
        fusion: options of what lets [KEY] take part in a prompt, see `KeywordReader`; None: [SEG] is alone.
    """

    token = SEG
    losses_named = {"mask_bce": "mask", "mask_dice": "mask", "keyword_alignment": "keyword"}
    loss_weights = {"mask_bce": 2.0, "mask_dice": 0.5}  # u-LLaVA, arXiv:2311.05348, section 3
    foundations = {"sam": "sam"}
    tower_part = "sam_encoder"

    def __init__(
        self,
        width: int,
        sam: SamModel,
        tower: SamTower,
        *,
        resolution: str = "original",
        standardise: bool = False,
        fusion: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        channels = sam.config.mask_decoder_config.hidden_size
        self.standardise = Standardise(width) if standardise else None
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels))
        self.fusion = None
        if fusion is not None:
            given = {"width": width, "channels": channels, "standardise": standardise}
            self.fusion, self.extra_tokens = make(KeywordReader, fusion, "model.heads.mask.fusion", **given), (KEY,)
        self.mask_decoder = sam.mask_decoder
        self.tower, self.resolution = tower, resolution
        no_mask = sam.prompt_encoder.no_mask_embed.weight.detach().clone()
        self.register_buffer("no_mask", no_mask[..., None, None], persistent=False)  # (1, C, 1, 1)
        places = sam.get_image_wide_positional_embeddings().detach().clone()
        self.register_buffer("places", places, persistent=False)  # (1, C, h, w)

    @classmethod
    def build(cls, options: Mapping[str, Any], parts: Parts) -> "MaskHead":
        """A head on the SAM in `sam`, a folder or a published file."""

        def on(*, sam: str, standardise: bool = False, fusion: dict[str, Any] | None = None) -> "MaskHead":
            whole, tower = open_sam(sam, from_scratch=parts.begins_random("sam"), dtype=parts.dtype)
            how = {"resolution": parts.losses.resolution, "standardise": standardise, "fusion": fusion}
            return cls(parts.width, whole, tower, **how)

        return make(on, options, "model.heads.mask")

    @classmethod
    def frame(cls, options: Mapping[str, Any]) -> View:
        """SAM's square; a published file's is that of all three sizes of SAM."""
        return sam_view(options["sam"])

    def bind_embeddings(self, words: nn.Embedding) -> None:
        """Shows the keyword's loss the words."""
        if self.fusion is not None and self.fusion.alignment is not None:
            self.fusion.alignment.table = (words,)

    def forward(self, states: Tensor, batch: Batch, *further: Any) -> MaskLogits:
        """Logits for each [SEG] state; with fusion, the [KEY] states come behind."""
        promised = batch.promised[SEG]
        prompts, keys = self.prompts(states, batch, *further)
        if len(promised) == 0:  # SAM takes no empty prompt, and every rank must use every parameter, in one order
            blank = self.blank()
            logits, quality = self.decode(blank, prompts[:, None, None])
            return MaskLogits(logits[:0, 0], promised, quality[:0, 0], blank, keys)
        features = self.encode(batch, list(promised.owners))
        grid = prompts.new_zeros(len(features), promised.depth, 1, prompts.shape[1])
        grid[promised.pictures, promised.slots, 0] = prompts  # (Q, most promises of a picture, 1, C)
        logits, quality = (some[promised.pictures, promised.slots] for some in self.decode(features, grid))
        return MaskLogits(logits, promised, quality, features, keys)

    def prompts(self, states: Tensor, batch: Batch, *further: Tensor) -> tuple[Tensor, Tensor | None]:
        """SAM's prompts, one at least, and the projected [KEY] states; both kinds go through one projection."""
        if self.fusion is None:
            return self.project(heard(states, self.standardise)), None
        kinds = heard(states, self.standardise), heard(*further, self.fusion.standardise)
        prompts, keys = self.project(torch.cat(kinds)).split([len(kind) for kind in kinds])
        return self.fusion(prompts, keys, batch.promised[SEG], batch.promised[KEY]), keys

    def encode(self, batch: Batch, owners: list[int]) -> Tensor:
        """(Q, C, h, w) features of the pictures that own a promise."""
        keys = [batch.frame_keys[n] for n in owners]
        return self.tower.encode(batch.frames[owners], keys, [batch.frame_sizes[n] for n in owners])

    def blank(self) -> Tensor:
        """(1, C, h, w) features of no picture; an encoder that learns has to see one."""
        if not self.tower.learns:
            return torch.zeros_like(self.places)
        side = self.tower.view.side
        return self.tower.encode(self.places.new_zeros(1, side, side, 3, dtype=torch.uint8), [""], [(side, side)])

    def decode(self, features: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
        """(Q, C, h, w) and (Q, K, 1, C) -> (Q, K, 4h, 4w) logits, and the IoU that is expected of them, (Q, K)."""
        masks, quality = self.mask_decoder(
            image_embeddings=features.to(grid.dtype),
            image_positional_embeddings=self.places.to(grid.dtype).expand(len(features), -1, -1, -1),
            sparse_prompt_embeddings=grid,
            dense_prompt_embeddings=self.no_mask.to(grid.dtype).expand(features.shape),
            multimask_output=False,
        )[:2]
        return masks[:, :, 0], quality[:, :, 0]

    def losses(self, predicted: MaskLogits, batch: Batch) -> Mapping[str, Tensor]:
        """mask_bce and mask_dice, (M,) each, for the promises that have a mask; of keywords, keyword_alignment."""
        found = self.mask_losses(predicted)
        if self.fusion is not None and self.fusion.alignment is not None:
            found["keyword_alignment"] = self.fusion.loss(predicted.keys, batch.promised[KEY])
        return found

    def mask_losses(self, predicted: MaskLogits) -> dict[str, Tensor]:
        """mask_bce and mask_dice."""
        promised = predicted.promised
        if len(promised.masks) == 0:
            nothing = predicted.logits.float().sum((1, 2))[:0]
            return {"mask_bce": nothing, "mask_dice": nothing}
        logits = predicted.logits[list(promised.with_mask)]
        sizes = [promised.sizes[n] for n in promised.with_mask]
        groups = list(self.compared(logits, promised, sizes))
        order = np.argsort(np.concatenate([numbers for numbers, *_ in groups]))
        return {
            "mask_bce": torch.cat([losses.mask_bce(*drawn) for _, *drawn in groups])[order],
            "mask_dice": torch.cat([losses.mask_dice(*drawn) for _, *drawn in groups])[order],
        }

    def compared(self, logits: Tensor, promised: Promised, sizes: list[tuple[int, int]]):
        """Yields (numbers, logits, targets, how much of each pixel counts), the last three (M, H, W).

        Masks of pictures of one size come together; where every pixel counts the last is None.
        """
        view = self.tower.view
        if self.resolution == "original":
            logits = invert(logits, view, sizes)
        for size in dict.fromkeys(sizes):
            numbers = [n for n, other in enumerate(sizes) if other == size]
            drawn = torch.stack([promised.masks[n] for n in numbers])
            targets, counted = (drawn == 1).float(), (drawn != IGNORED).float() if promised.ignoring else None
            if self.resolution == "original":
                yield numbers, torch.stack([logits[n] for n in numbers]), targets, counted
            else:
                height, width = (-(-side * logits.shape[-1] // view.side) for side in view.resized(size))
                targets, counted = (
                    some if some is None else F.interpolate(some[None], (height, width), mode="area")[0]
                    for some in (targets, counted)
                )
                yield numbers, logits[numbers, :height, :width], targets, counted

    def results(self, predicted: MaskLogits, batch: Batch) -> list[np.ndarray]:
        """(H, W) float32 probabilities in each original picture."""
        masks = invert(predicted.logits.detach(), self.tower.view, predicted.promised.sizes)
        return [mask.sigmoid().cpu().numpy() for mask in masks]

    def scores(self, predicted: MaskLogits) -> list[float]:
        """The IoU that SAM's decoder expects, which learns nothing here and is as good as the SAM it came with."""
        return predicted.quality.detach().float().clamp(0, 1).tolist()

    def activation_bytes(self, itemsize: int) -> float:
        """SAM's two-way blocks over the grid's places, upscaling, and losses over the whole square.

        Each block keeps about twelve tensors as wide as the grid's features; upscaling, by two and by two again at a
        quarter and an eighth of the channels, keeps each result thrice; the losses six of the square's numbers in
        float32.
        """
        channels, cells = self.places.shape[1], self.places.shape[2] * self.places.shape[3]
        blocks = len(self.mask_decoder.transformer.layers) * 12 * channels * cells
        upscaled = 3 * (4 * cells * channels // 4 + 16 * cells * channels // 8)
        return itemsize * (blocks + upscaled) + 6 * 4 * self.tower.view.side**2


def heard(states: Tensor, standardise: Standardise | None) -> Tensor:
    """The states that are projected: as they are or standardised; for none a zero through which gradients pass."""
    used = states if len(states) else states.sum(0, keepdim=True)
    return used if standardise is None else standardise(used, counted=len(states) > 0)
