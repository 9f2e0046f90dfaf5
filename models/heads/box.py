"""Boxes from [LOC]: a small MLP reads its state (u-LLaVA, arXiv:2311.05348, section 3; det_projector, det_decoder)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ullava.configs.registry import make
from ullava.configs.tokens import LOC
from ullava.datasets.images import View
from ullava.datasets.structures import Box
from ullava.models import losses
from ullava.models.batching.batch import Batch
from ullava.models.heads.base import HEADS, Head, Parts


@HEADS.register("box")
class BoxHead(Head):
    """Regresses x0, y0, x1, y1 in the vision tower's square, 0..1; nothing bounds them, as in u-LLaVA.

    Args:
        width: of the language model.
        view: the vision tower's, which says where a picture lies in the square.
        channels: between the two MLPs (u-LLaVA: out_dim).
    """

    token = LOC
    losses_named = {"box_l1": "box", "box_giou": "box"}
    precise = True

    def __init__(self, width: int, view: View, *, channels: int = 256):
        super().__init__()
        self.view = view
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
            boxes = self.regress(self.project(used.to(self.project[0].weight.dtype))).float()
        return boxes[: len(states)]

    def losses(self, predicted: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """box_l1 and box_giou, (M,) each, for the promises that have a box."""
        promised = batch.promised[LOC]
        pair = predicted[list(promised.with_box)], promised.boxes
        return {"box_l1": losses.box_l1(*pair), "box_giou": losses.box_giou(*pair)}

    def results(self, predicted: Tensor, batch: Batch) -> list[Box]:
        """Boxes in pixels of each original picture, inside it."""
        rows = predicted.detach().cpu().double().numpy()
        sizes = batch.promised[LOC].sizes
        return [tuple(self.view.boxes_from([row], size)[0].tolist()) for row, size in zip(rows, sizes, strict=True)]
