"""Boxes from [LOC] by a GroundingDINO: the token's state stands where the words' features stood.

Nothing is read and nothing is written: the projected state is the whole text, the detector's encoder looks for it, its
decoder draws the box. Each promise is a text of its own, so that no box depends on what else was promised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GroundingDinoForObjectDetection

from ullava.configs.registry import make
from ullava.configs.tokens import LOC
from ullava.datasets.images import View
from ullava.datasets.structures import Box
from ullava.models import losses
from ullava.models.backbones.vision_tower import Tower
from ullava.models.batching.batch import Batch
from ullava.models.detectors.grounding_dino import Found, Words, corners, find, to_pixels
from ullava.models.detectors.opening import Opened, open_detector, outline_detector, preparation
from ullava.models.heads.base import HEADS, Head, Parts, precision_of

FINEST = 8  # pixels a place of the finest level; each further level has twice as many; arXiv:2303.05499, section 4
COSTS = {"focal": 2.0, "l1": 5.0, "giou": 2.0}  # by which a query is matched; arXiv:2303.05499, section 4


class DetectorTower(Tower):
    """A detector's backbone; what it gives is one vector a picture, so that it can be kept.

    It looks at whatever frame a batch has: SAM's, where there is a mask head.

    Attributes:
        shapes: (C, h, w) of its maps, known when it has seen a picture.
    """

    shapes: tuple[tuple[int, ...], ...] = ()

    def features(self, pixels: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """(N, 3, S, S) -> (N, numbers). The padding is zero after normalisation, as the reference's."""
        maps = self.module(pixels * self.inside(sizes, pixels.shape[-1], pixels.device)[:, None]).feature_maps
        self.shapes = tuple(tuple(feature_map.shape[1:]) for feature_map in maps)
        return torch.cat([feature_map.flatten(1) for feature_map in maps], 1)

    def maps(self, features: Tensor) -> list[Tensor]:
        """Inverse of what `features` did to the maps."""
        parts = features.split([c * h * w for c, h, w in self.shapes], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def inside(self, sizes: Sequence[tuple[int, int]], side: int, device: torch.device) -> Tensor:
        """(N, side, side) bool, which pixels of the frames are picture."""
        view, line = replace(self.view, side=side), torch.arange(side, device=device)
        ends = torch.tensor([view.resized(size) for size in sizes], device=device)[..., None] > line
        return ends[:, 0, :, None] & ends[:, 1, None, :]


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class Detected:
    """What was found for each of N promises; with none of them, for nothing."""

    found: Found
    count: int


@HEADS.register("detector")
class DetectorHead(Head):
    """Finds what each [LOC] state means.

    Args:
        width: of the language model.
        opened: the detector; its backbone stays outside, its text encoder is not needed.
    """

    token = LOC
    losses_named = {"box_l1": "box", "box_giou": "box", "detector_focal": "box"}
    foundations = {"weights": "detector", "text": "detector_text"}
    tower_part = "detector_backbone"
    takes_any_frame = True
    precise = True
    tower: DetectorTower

    def __init__(self, width: int, opened: Opened, *, dtype: torch.dtype = torch.float32):
        super().__init__()
        finder, backbone = without_senses(opened.detector)
        self.finder = finder
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, finder.config.d_model))
        frame = View(opened.longest, "corner", background=(0, 0, 0))
        self.tower = DetectorTower(backbone.to(dtype), frame, opened.mean, opened.std, opened.source)

    @classmethod
    def build(cls, options: Mapping[str, Any], parts: Parts) -> "DetectorHead":
        """A head on the GroundingDINO in `weights`, a folder, or a file beside its text encoder's folder, `text`.

        A file that does not tell how many `attention_heads` its network has needs that, too.
        """

        def on(*, weights: str, text: str | None = None, attention_heads: int | None = None) -> "DetectorHead":
            key = "model.heads.detector.weights"
            if parts.begins_random("detector"):
                opened = outline_detector(weights, key=key)
            else:
                opened = open_detector(weights, text, attention_heads=attention_heads, key=key)
            return cls(parts.width, opened, dtype=parts.dtype)

        return make(on, options, "model.heads.detector")

    @classmethod
    def frame(cls, options: Mapping[str, Any]) -> View:
        """The longest side at which the detector was trained, at the top left."""
        *_, longest = preparation(Path(options["weights"]))
        return View(longest, "corner", background=(0, 0, 0))

    def train(self, mode: bool = True) -> "DetectorHead":
        """Keeps the detector in eval mode while the rest of the head trains: nothing in it drops out."""
        super().train(mode)
        self.finder.eval()
        return self

    def forward(self, states: Tensor, batch: Batch, *further: Any) -> Detected:
        """What the detector finds for each [LOC] state, in float32: a coordinate is finer than bf16's 1/256."""
        used = states if len(states) else states.new_zeros(1, states.shape[1])
        maps, inside = self.see(batch) if len(states) else self.blank(states.device)
        with torch.autocast(states.device.type, enabled=False):
            meant = self.project(used.to(precision_of(self.project))).float()[:, None]
            alone = torch.ones(len(used), 1, 1, dtype=torch.bool, device=used.device)
            words = Words(meant, alone[..., 0], alone, torch.zeros_like(alone[..., 0], dtype=torch.long))
            detected = find(self.finder, [feature_map.float() for feature_map in maps], inside, words)
        return Detected(detected, len(states))

    def see(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """The maps (N, C, h, w) and the extent of each promise's picture; a picture is seen once."""
        promised = batch.promised[LOC]
        owners = list(promised.owners)
        sizes, keys = [batch.frame_sizes[n] for n in owners], [batch.frame_keys[n] for n in owners]
        assert batch.frames is not None  # a promise has a picture
        frames = batch.frames[owners]
        maps = self.tower.maps(self.tower.encode(frames, keys, sizes))
        inside = self.tower.inside(sizes, frames.shape[1], frames.device)
        return [feature_map[promised.pictures] for feature_map in maps], inside[promised.pictures]

    def blank(self, device: torch.device) -> tuple[list[Tensor], Tensor]:
        """The maps and the extent of a picture of nothing: every rank uses every parameter."""
        side = self.tower.view.side
        pixels = torch.zeros(1, side, side, 3, dtype=torch.uint8, device=device)
        maps = self.tower.maps(self.tower.encode(pixels, [""], [(side, side)]))
        return maps, self.tower.inside([(side, side)], side, device)

    def losses(self, predicted: Detected, batch: Batch) -> Mapping[str, Tensor]:
        """box_l1, box_giou and detector_focal, (M,) each: means over the decoder's layers and the proposals.

        Our own: transformers' loss writes the wrong class columns from the third picture of a batch on, and reaches no
        parameter that proposes.
        """
        # findings/grounding_dino_loss_columns.sh, findings/grounding_dino_proposals.sh
        detected, kept = predicted.found, list(batch.promised[LOC].with_box)
        # Fractions of each picture, not of the padded batch: findings/detr_boxes_in_a_batch.sh
        truth = batch.promised[LOC].boxes.float()
        proposals = detected.proposal_logits, detected.proposal_boxes
        stages = [*zip(detected.logits, detected.boxes, strict=True), proposals]
        sums = {name: truth.new_zeros(len(truth)) for name in self.losses_named}
        for logits, boxes in stages:
            logits, boxes = logits[kept, :, 0], corners(boxes[kept])  # (M, Q), (M, Q, 4)
            best = match(logits.detach(), boxes.detach(), truth)
            chosen = boxes.gather(1, best[:, None, None].expand(-1, -1, 4))[:, 0]
            focal = losses.focal(logits, F.one_hot(best, logits.shape[1])).sum(1)
            terms = losses.box_l1(chosen, truth), losses.box_giou(chosen, truth), focal
            sums = {name: total + term for (name, total), term in zip(sums.items(), terms, strict=True)}
        return {name: total / len(stages) for name, total in sums.items()}

    def results(self, predicted: Detected, batch: Batch) -> list[Box]:
        """The box of each promise's best query, in pixels of its picture, inside it."""
        logits, boxes = predicted.found.logits[-1, : predicted.count, :, 0], predicted.found.boxes[-1]
        best = boxes[torch.arange(len(logits)), logits.argmax(1)].detach().cpu().double().numpy()
        sizes = batch.promised[LOC].sizes
        return [to_pixels(row[None], size)[0] for row, size in zip(best, sizes, strict=True)]

    def activation_bytes(self, itemsize: int) -> float:
        """About twelve float32 tensors of the detector's width for each layer, of all places, then of all queries."""
        config, side = self.finder.config, self.tower.view.side
        places = sum((side // (FINEST << level)) ** 2 for level in range(config.num_feature_levels))
        blocks = config.encoder_layers * places + config.decoder_layers * config.num_queries
        return 4.0 * 12 * config.d_model * blocks


def match(logits: Tensor, boxes: Tensor, truth: Tensor) -> Tensor:
    """The query (M,) of least cost: (M, Q) logits, (M, Q, 4) and (M, 4) corners. One box a text needs no assignment."""
    p = logits.float().sigmoid()
    gain, loss = 0.75 * p**2 * -(1 - p + 1e-8).log(), 0.25 * (1 - p) ** 2 * -(p + 1e-8).log()
    pairs = boxes.flatten(0, 1), truth[:, None].expand(boxes.shape).flatten(0, 1)
    l1, giou = (loss(*pairs).view(p.shape) for loss in (losses.box_l1, losses.box_giou))
    return (COSTS["focal"] * (loss - gain) + COSTS["l1"] * l1 + COSTS["giou"] * giou).argmin(1)


def without_senses(detector: GroundingDinoForObjectDetection) -> tuple[GroundingDinoForObjectDetection, nn.Module]:
    """The detector without its backbone and its text encoder, and the backbone."""
    model: Any = detector.model  # transformers types each part by what it builds there
    backbone = model.backbone.conv_encoder.model
    model.backbone.conv_encoder = nn.Identity()
    model.text_backbone, model.text_projection = nn.Identity(), nn.Identity()
    return detector, backbone
