"""The contract of a segmenter: what turns a prompt into a mask, SAM or another, with the ways that a mask head needs.

It sees frames (`encode`), whose features a cache can keep, and decodes prompts over them (`decode`). Its encoder stands
outside the module tree while it is frozen (`models/backbones/vision_tower.py: Tower`); its decoder is the head's.

Axes: Q frames, K prompts of a frame, N tokens of a prompt (one state gives one), C channels of a prompt.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ullava.configs.registry import Registry
from ullava.datasets.images import View
from ullava.models.backbones.vision_tower import Tower

SEGMENTERS = Registry("segmenter")
Maps = tuple[Tensor, ...]  # what a frame's features are: (Q, C, h, w) each, the coarsest one, which is prompted, first


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class Decoded:
    """What a segmenter makes of prompts.

    Attributes:
        logits: (Q, K, h, w) over the frame's square, or its picture, as `view` lays it.
        quality: (Q, K) the IoU that it expects of each mask; None: it has no opinion.
        presence: (Q, K) logits of there being what is asked for; None: it has no opinion.
    """

    logits: Tensor
    quality: Tensor | None = None
    presence: Tensor | None = None


class Segmenter(nn.Module, ABC):
    """Decodes prompts into masks.

    Its children are the decoder's, and become those of the head: what they are called is how they are saved, and which
    part of `learn:` they are (models/stages.py). Buffers belong into children, which move with the head.

    Attributes:
        name: under which a YAML names it, see `SEGMENTERS.register`.
        tower: its encoder, frozen or learning.
        prompt_width: C, channels of a prompt's tokens.
    """

    name: ClassVar[str]
    tower: Tower
    prompt_width: int

    @classmethod
    @abstractmethod
    def open(cls, weights: str, *, key: str, from_scratch: bool, dtype: torch.dtype) -> "Segmenter":
        """Opens a folder or a published file.

        Args:
            key: where the YAML names it, for messages.
            from_scratch: read its configuration only, and draw the weights.
            dtype: of the encoder; the decoder is float32.

        Raises:
            FileNotFoundError, ValueError: it is not there, or holds another architecture.
        """

    @classmethod
    @abstractmethod
    def frame(cls, weights: str) -> View:
        """How a picture lies in the frame of what `open` opens; only configurations are read."""

    @property
    def view(self) -> View:
        """How a picture lies in its frame."""
        return self.tower.view

    def encode(self, frames: Tensor, keys: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Maps:
        """Features of (Q, S, S, 3) uint8 frames, from the tower's cache where they are known.

        Args:
            keys: Q names; equal names mean equal frames.
            sizes: (H, W) of the Q originals.
        """
        return (self.tower.encode(frames, keys, sizes),)

    @abstractmethod
    def decode(self, maps: Maps, prompts: Tensor) -> Decoded:
        """Masks of (Q, K, N, C) prompts over the maps of Q frames, each prompt by itself."""

    @abstractmethod
    def blank(self) -> Maps:
        """The maps of a frame without a picture, so that every rank uses every parameter.

        An encoder that learns has to see one.
        """

    @abstractmethod
    def activation_bytes(self, itemsize: int) -> float:
        """Bytes that one mask keeps for the backward pass, decoder and losses, with numbers of `itemsize` bytes."""


def invert(logits: Tensor, view: View, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Brings (N, h, w) logits over a frame to the originals' sizes: N tensors (H, W), as SAM's own postprocessing.

    Masks of one size go together, so that a batch of equal pictures is one call.
    """
    restored: dict[int, Tensor] = {}
    for size in dict.fromkeys(sizes):
        numbers = [n for n, other in enumerate(sizes) if other == size]
        top, left, height, width = extent(view, size)
        square = F.interpolate(logits[numbers, None].float(), (view.side, view.side), mode="bilinear")
        picture = square[..., top : top + height, left : left + width]
        masks = F.interpolate(picture, size, mode="bilinear")[:, 0]
        restored |= dict(zip(numbers, masks, strict=True))
    return [restored[n] for n in range(len(sizes))]


def extent(view: View, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a picture of (H, W) in its frame, in the frame's pixels."""
    _, shift = view.placement(size)
    height, width = view.resized(size)
    left, top = (int(round(edge)) for edge in shift[:2].tolist())
    return top, left, height, width
