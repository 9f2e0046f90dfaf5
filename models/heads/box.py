"""Boxes from [LOC]: a small MLP reads its state (u-LLaVA, arXiv:2311.05348, section 3; det_projector, det_decoder)."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ullava.configs.registry import make
from ullava.configs.tokens import LOC
from ullava.datasets.images import View
from ullava.datasets.structures import Box
from ullava.models import losses
from ullava.models.batching.batch import Batch, Promised
from ullava.models.heads.base import HEADS, Head, Parts, precision_of


@HEADS.register("box")
class BoxHead(Head):
    """Regresses x0, y0, x1, y1 as fractions; nothing bounds them, as in u-LLaVA.

    Args:
        width: of the language model.
        view: the backbone's, which says where a picture lies in its square.
        channels: between the two MLPs (u-LLaVA: out_dim).
        within: of what they are fractions: "square", that which the backbone sees, padding and all, as in u-LLaVA and
            its published weights; or "picture".
    """

    token = LOC
    losses_named = {"box_l1": "box", "box_giou": "box"}
    precise = True

    def __init__(
        self, width: int, view: View, *, channels: int = 256, within: Literal["square", "picture"] = "square"
    ):
        super().__init__()
        self.view, self.within = view, within
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels))
        self.regress = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels // 2), nn.ReLU(),
            nn.Linear(channels // 2, 4),
        )  # fmt: skip

    @classmethod
    def build(cls, options: Mapping[str, Any], parts: Parts) -> "BoxHead":
        """A head on the square that the backbone sees."""
        return make(cls, options, "model.heads.box", width=parts.width, view=parts.view)

    def forward(self, states: Tensor, batch: Batch, *further: Any) -> Tensor:
        """(N, 4) float32: a coordinate has to be finer than bf16's 1/256."""
        used = states if len(states) else states.new_zeros(1, states.shape[1])
        with torch.autocast(states.device.type, enabled=False):
            boxes = self.regress(self.project(used.to(precision_of(self.project)))).float()
        return boxes[: len(states)]

    def losses(self, predicted: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """box_l1 and box_giou, (M,) each, for the promises that have a box."""
        promised = batch.promised[LOC]
        pair = predicted[list(promised.with_box)], self.targets(promised)
        return {"box_l1": losses.box_l1(*pair), "box_giou": losses.box_giou(*pair)}

    def targets(self, promised: Promised) -> Tensor:
        """(M, 4) float32: the true boxes as this head draws them."""
        if self.within == "picture":
            return promised.boxes.float()
        sizes = [promised.sizes[n] for n in promised.with_box]
        rows = [(*self.view.placement((height, width)), (width, height) * 2) for height, width in sizes]
        scale, shift, sides = promised.boxes.new_tensor(np.array(rows)).view(-1, 3, 4).unbind(1)
        return ((promised.boxes * sides * scale + shift) / self.view.side).float()

    def results(self, predicted: Tensor, batch: Batch) -> list[Box]:
        """Boxes in pixels of each original picture, inside it."""
        rows, sizes = predicted.detach().cpu().double().numpy(), batch.promised[LOC].sizes
        return [box_of(self.pixels(row, size)) for row, size in zip(rows, sizes, strict=True)]

    def pixels(self, row: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A predicted box (4,) in pixels of a picture of (H, W), inside it."""
        if self.within == "square":
            return self.view.boxes_from(row[None], size)[0]
        sides = np.array(size[::-1] * 2)
        return (row * sides).clip(0, sides)


def box_of(edges: np.ndarray) -> Box:
    """Four numbers of Python's own."""
    x0, y0, x1, y1 = edges.tolist()
    return x0, y0, x1, y1
