"""Masks from [SEG]: its projected state is a segmenter's only prompt (LISA, arXiv:2308.00692; u-LLaVA,
arXiv:2311.05348)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ullava.configs.registry import make
from ullava.configs.tokens import KEY, SEG
from ullava.datasets.images import View
from ullava.datasets.masks import IGNORED
from ullava.models import losses
from ullava.models.batching.batch import Batch, Promised
from ullava.models.heads.base import HEADS, Head, Parts
from ullava.models.heads.keyword_reader import KeywordReader
from ullava.models.heads.standardise import Standardise
from ullava.models.segmenters.base import SEGMENTERS, Maps, Segmenter, invert


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class MaskLogits:
    """Masks of N promises over the segmenter's square.

    Attributes:
        logits: (N, h, w).
        promised: what they are for.
        quality: (N,) the IoU that the decoder expects of each.
        features: (Q, C, h', w') what the segmenter sees in the pictures that own a promise; a blank where none does.
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
        segmenter: what decodes; its children become the head's own.
        resolution: where masks are compared, "original" or "decoder".
        standardise: whether to take off the states what they have in common; for heads that begin at random.
        fusion: options of what lets [KEY] take part in a prompt, see `KeywordReader`; None: [SEG] is alone.
    """

    token = SEG
    losses_named = {"mask_bce": "mask", "mask_dice": "mask", "keyword_alignment": "keyword"}
    loss_weights = {"mask_bce": 2.0, "mask_dice": 0.5}  # u-LLaVA, arXiv:2311.05348, section 3
    foundations = {"sam": "sam", "weights": "segmenter"}
    tower_part = "sam_encoder"

    def __init__(
        self,
        width: int,
        segmenter: Segmenter,
        *,
        resolution: str = "original",
        standardise: bool = False,
        fusion: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        channels = segmenter.prompt_width
        self.standardise = Standardise(width) if standardise else None
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels))
        self.fusion = None
        if fusion is not None:
            given = {"width": width, "channels": channels, "standardise": standardise}
            self.fusion, self.extra_tokens = make(KeywordReader, fusion, "model.heads.mask.fusion", **given), (KEY,)
        for name, child in segmenter.named_children():
            self.add_module(name, child)
        self._segmenter = (segmenter,)  # in a tuple: its weights are the head's children by their own names
        self.tower, self.resolution = segmenter.tower, resolution

    @property
    def segmenter(self) -> Segmenter:
        """What decodes."""
        return self._segmenter[0]

    @classmethod
    def build(cls, options: Mapping[str, Any], parts: Parts) -> "MaskHead":
        """A head on a segmenter: `sam: FOLDER_OR_FILE`, or `segmenter: KIND` and `weights:`."""

        def on(
            *,
            sam: str | None = None,
            segmenter: str = "sam",
            weights: str | None = None,
            standardise: bool = False,
            fusion: dict[str, Any] | None = None,
        ) -> "MaskHead":
            kind, place = chosen(segmenter, weights, sam)
            key = f"model.heads.mask.{'sam' if sam else 'weights'}"
            random = parts.begins_random("sam")
            decoder = SEGMENTERS[kind].open(place, key=key, from_scratch=random, dtype=parts.dtype)
            resolution = parts.losses.resolution
            return cls(parts.width, decoder, resolution=resolution, standardise=standardise, fusion=fusion)

        return make(on, options, "model.heads.mask")

    @classmethod
    def frame(cls, options: Mapping[str, Any]) -> View:
        """The segmenter's square."""
        kind, place = chosen(options.get("segmenter", "sam"), options.get("weights"), options.get("sam"))
        return SEGMENTERS[kind].frame(place)

    def bind_embeddings(self, words: nn.Embedding) -> None:
        """Shows the keyword's loss the words."""
        if self.fusion is not None and self.fusion.alignment is not None:
            self.fusion.alignment.bind_embeddings(words)

    def forward(self, states: Tensor, batch: Batch, *further: Any) -> MaskLogits:
        """Logits for each [SEG] state; with fusion, the [KEY] states come behind."""
        promised = batch.promised[SEG]
        prompts, keys = self.prompts(states, batch, *further)
        if len(promised) == 0:  # no segmenter takes empty prompts; every rank must use every parameter, in one order
            blank = self.segmenter.blank()
            logits, quality = self.decode(blank, prompts[:, None, None])
            return MaskLogits(logits[:0, 0], promised, quality if quality is None else quality[:0, 0], blank[0], keys)
        maps = self.encode(batch, list(promised.owners))
        grid = prompts.new_zeros(len(maps[0]), promised.depth, 1, prompts.shape[1])
        grid[promised.pictures, promised.slots, 0] = prompts  # (Q, most promises of a picture, 1, C)
        logits, quality = self.decode(maps, grid)
        at = promised.pictures, promised.slots
        return MaskLogits(logits[at], promised, quality if quality is None else quality[at], maps[0], keys)

    def prompts(self, states: Tensor, batch: Batch, *further: Tensor) -> tuple[Tensor, Tensor | None]:
        """The prompts, one at least, and the projected [KEY] states; both kinds go through one projection."""
        if self.fusion is None:
            return self.project(heard(states, self.standardise)), None
        (spoken,) = further  # the [KEY] states
        kinds = heard(states, self.standardise), heard(spoken, self.fusion.standardise)
        prompts, keys = self.project(torch.cat(kinds)).split([len(kind) for kind in kinds])
        return self.fusion(prompts, keys, batch.promised[SEG], batch.promised[KEY]), keys

    def encode(self, batch: Batch, owners: list[int]) -> Maps:
        """The maps of the Q pictures that own a promise."""
        assert batch.frames is not None  # a promise has a picture
        keys = [batch.frame_keys[n] for n in owners]
        return self.segmenter.encode(batch.frames[owners], keys, [batch.frame_sizes[n] for n in owners])

    def decode(self, maps: Maps, prompts: Tensor) -> tuple[Tensor, Tensor | None]:
        """Maps of Q frames and (Q, K, N, C) -> (Q, K, h, w) logits, and the IoU expected of them, (Q, K)."""
        decoded = self.segmenter.decode(maps, prompts)
        return decoded.logits, decoded.quality

    def losses(self, predicted: MaskLogits, batch: Batch) -> Mapping[str, Tensor]:
        """mask_bce and mask_dice, (M,) each, for the promises that have a mask; of keywords, keyword_alignment."""
        named_losses = self.mask_losses(predicted)
        if self.fusion is not None and self.fusion.alignment is not None:
            assert predicted.keys is not None  # with fusion
            named_losses["keyword_alignment"] = self.fusion.loss(predicted.keys, batch.promised[KEY])
        return named_losses

    def mask_losses(self, predicted: MaskLogits) -> dict[str, Tensor]:
        """mask_bce and mask_dice."""
        promised = predicted.promised
        if len(promised.masks) == 0:
            nothing = predicted.logits.float().sum((1, 2))[:0]
            return {"mask_bce": nothing, "mask_dice": nothing}
        logits = predicted.logits[list(promised.with_mask)]
        sizes = [promised.sizes[n] for n in promised.with_mask]
        groups = [(group[0], group[1:]) for group in self.compared(logits, promised, sizes)]
        order = np.argsort(np.concatenate([numbers for numbers, _ in groups]))
        return {
            "mask_bce": torch.cat([losses.mask_bce(*drawn) for _, drawn in groups])[order],
            "mask_dice": torch.cat([losses.mask_dice(*drawn) for _, drawn in groups])[order],
        }

    def compared(
        self, logits: Tensor, promised: Promised, sizes: list[tuple[int, int]]
    ) -> Iterator[tuple[list[int], Tensor, Tensor, Tensor | None]]:
        """Yields (numbers, logits, targets, how much of each pixel counts), the last three (M, H, W).

        Masks of pictures of one size come together; where every pixel counts the last is None.
        """
        view = self.tower.view
        whole = invert(logits, view, sizes) if self.resolution == "original" else []
        for size in dict.fromkeys(sizes):
            numbers = [n for n, other in enumerate(sizes) if other == size]
            masks = torch.stack([promised.masks[n] for n in numbers])
            targets, counted = (masks == 1).float(), (masks != IGNORED).float() if promised.ignoring else None
            if self.resolution == "original":
                yield numbers, torch.stack([whole[n] for n in numbers]), targets, counted
            else:
                height, width = (-(-side * logits.shape[-1] // view.side) for side in view.resized(size))
                targets = F.interpolate(targets[None], (height, width), mode="area")[0]
                if counted is not None:
                    counted = F.interpolate(counted[None], (height, width), mode="area")[0]
                yield numbers, logits[numbers, :height, :width], targets, counted

    def results(self, predicted: MaskLogits, batch: Batch) -> list[np.ndarray]:
        """(H, W) float32 probabilities in each original picture."""
        masks = invert(predicted.logits.detach(), self.tower.view, predicted.promised.sizes)
        return [mask.sigmoid().cpu().numpy() for mask in masks]

    def scores(self, predicted: MaskLogits) -> list[float]:
        """The IoU that the decoder expects, which learns nothing here and is as good as the segmenter it came with."""
        if predicted.quality is None:
            return []
        return predicted.quality.detach().float().clamp(0, 1).tolist()

    def activation_bytes(self, itemsize: int) -> float:
        """Those of the segmenter's decoder and of the losses."""
        return self.segmenter.activation_bytes(itemsize)


def chosen(segmenter: str, weights: str | None, sam: str | None) -> tuple[str, str]:
    """The kind of segmenter, and its weights; `sam: FOLDER` is short for both.

    Raises:
        ValueError: nothing names the weights, or two options do.
    """
    if sam is not None and (weights is not None or segmenter != "sam"):
        raise ValueError("model.heads.mask: `sam` names a SAM's weights by itself; drop it, or segmenter and weights")
    place = sam if weights is None else weights
    if place is None:
        raise ValueError("model.heads.mask: option 'sam' is missing, or 'segmenter' and 'weights'")
    return segmenter, place


def heard(states: Tensor, standardise: Standardise | None) -> Tensor:
    """The states that are projected: as they are or standardised; for none a zero through which gradients pass."""
    used = states if len(states) else states.sum(0, keepdim=True)
    return used if standardise is None else standardise(used, counted=len(states) > 0)
