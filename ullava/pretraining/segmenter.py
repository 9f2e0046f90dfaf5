"""Pretrains the segmenter: from points, boxes, and single prompt tokens that say which objects are meant, or where.

Such a token stands for what a language model gives later: the sum of the embeddings of attributes means all objects
that have them, an embedded box the object in it, and both together one object. Only embeddings, and a head that names
what each cell holds, are added to SAM for this; both are thrown away afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from ullava.datasets.tiny_world import words
from ullava.datasets.tiny_world.pixels import draw, masks
from ullava.datasets.tiny_world.scene import SIDE, TRAITS, Scene, sample_scene
from ullava.models.tiny import tiny_sam
from ullava.pretraining.cells import ATTRIBUTES
from ullava.pretraining.tower import normalise

PROMPTS = 4  # a picture
WAYS = ("point", "box", "class", "place", "thing")
SHARES = (0.15, 0.1, 0.35, 0.2, 0.2)
NAMES = (*ATTRIBUTES, "thing", "vivid")


@dataclass(frozen=True, slots=True)
class Batch:
    """B pictures with P prompts of one way each.

    Attributes:
        pixels: (B, S, S, 3) uint8.
        masks: (B, P, S, S) bool.
        points: (B, P, 2) pixels; boxes (B, P, 4) pixels; about (B, P, attributes).
        cells: (B, names, G, G) what each cell of the encoder's grid holds.
    """

    way: str
    pixels: Tensor
    masks: Tensor
    points: Tensor
    boxes: Tensor
    about: Tensor
    cells: Tensor


class Cutter(nn.Module):
    """A SAM with throwaway embeddings of attributes and boxes."""

    def __init__(self):
        super().__init__()
        self.sam = tiny_sam()
        channels = self.sam.prompt_encoder.no_mask_embed.embedding_dim
        self.about = nn.Linear(len(ATTRIBUTES), channels)
        self.place = nn.Sequential(nn.Linear(4, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.cells = nn.Conv2d(channels, len(NAMES), 1)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mask logits (B, P, S, S), and logits of what the cells hold."""
        features = self.sam.vision_encoder(normalise(batch.pixels))[0]  # get_image_embeddings would not learn
        sparse = self.prompts(batch)
        dense = self.sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(features)
        positions = self.sam.get_image_wide_positional_embeddings().repeat(len(features), 1, 1, 1)
        logits = self.sam.mask_decoder(features, positions, sparse, dense, multimask_output=False)[0][:, :, 0]
        return F.interpolate(logits.float(), (SIDE, SIDE), mode="bilinear"), self.cells(features)

    def prompts(self, batch: Batch) -> Tensor:
        """Sparse prompts: (B, P, N, C)."""
        encoder = self.sam.prompt_encoder
        if batch.way == "point":
            points, labels = batch.points.unsqueeze(2), torch.ones(batch.points.shape[:2] + (1,), dtype=torch.int64)
            return encoder(points, labels, None, None)[0]
        if batch.way == "box":
            return encoder(None, None, batch.boxes, None)[0]
        about, place = self.about(batch.about), self.place(batch.boxes / SIDE)
        return {"class": about, "place": place, "thing": about + place}[batch.way].unsqueeze(2)


def loss(model: Cutter, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy and Dice loss of the masks, and cross-entropy of what the cells hold; the total and its parts."""
    with torch.autocast("cpu", torch.bfloat16):
        logits, cells = model(batch)
    truth = batch.masks.float()
    near = F.max_pool2d(truth, 9, 1, 4)  # half of the weight lies in and around the object
    pixels = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    bce = 0.5 * pixels.mean() + 0.5 * (pixels * near).sum() / near.sum()
    probabilities = logits.sigmoid()
    dice = 1 - (2 * (probabilities * truth).sum((2, 3)) + 1) / (probabilities.sum((2, 3)) + truth.sum((2, 3)) + 1)
    names = F.binary_cross_entropy_with_logits(cells.float(), batch.cells)
    return 4 * bce + dice.mean() + 2 * names, {"bce": bce, "dice": dice.mean(), "cells": names, batch.way: dice.mean()}


def sample(rng: np.random.Generator, count: int, way: str, grid: int) -> Batch:
    """Draws `count` pictures with `PROMPTS` prompts each, all of one way.

    Args:
        grid: cells along a side of the encoder's features.
    """
    scenes = [sample_scene(rng) for _ in range(count)]
    asked = [[prompt(scene, way, rng) for _ in range(PROMPTS)] for scene in scenes]
    wanted, points, boxes, about = (np.stack([[p[k] for p in row] for row in asked]) for k in range(4))
    pixels = np.stack([draw(scene, rng) for scene in scenes])
    cells = np.stack([contents(scene, grid) for scene in scenes])
    return Batch(way, *(torch.from_numpy(values) for values in (pixels, wanted, points, boxes, about, cells)))


def prompt(scene: Scene, way: str, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """One prompt: its mask (S, S), a point on it, its box with some noise, and the attributes asked for."""
    index = int(rng.integers(len(scene.things)))
    thing, drawn = scene.things[index], masks(scene)
    wanted = {kind: getattr(thing, kind) for kind in TRAITS}
    mask = drawn[index]
    if way == "class":
        kinds = ("shape",) if rng.random() < 0.5 else words.pick(CLASSES, rng)
        wanted = {kind: wanted[kind] for kind in kinds}
        mask = np.asarray(drawn[scene.having(wanted)].any(0))
    ys, xs = np.nonzero(drawn[index])
    at = int(rng.integers(len(xs)))
    box = np.array(thing.box, np.float32) + rng.normal(0, 0.8 if way != "box" else 0.4, 4).astype(np.float32)
    about = np.zeros(len(ATTRIBUTES), np.float32)
    about[[ATTRIBUTES.index(word) for word in wanted.values()]] = 1
    return mask, np.array([xs[at] + 0.5, ys[at] + 0.5], np.float32), box, about


CLASSES = (("color",), ("size",), ("texture",), ("color", "shape"), ("size", "shape"), ("texture", "shape"), TRAITS)


def contents(scene: Scene, grid: int) -> np.ndarray:
    """What each cell holds: (names, grid, grid) float32."""
    owners = scene.owners(grid)
    table = np.zeros((len(scene.things) + 1, len(NAMES)), np.float32)  # the last row is for -1, the ground
    for i, thing in enumerate(scene.things):
        table[i, [NAMES.index(getattr(thing, kind)) for kind in TRAITS]] = 1
        table[i, NAMES.index("thing")], table[i, NAMES.index("vivid")] = 1, thing.vivid
    return table[owners].transpose(2, 0, 1)


class Pictures(IterableDataset):
    """An endless stream of batches, each of one way of prompting."""

    def __init__(self, seed: tuple[int, ...], batch_size: int, grid: int):
        self.seed, self.batch_size, self.grid = seed, batch_size, grid

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield sample(rng, self.batch_size, WAYS[rng.choice(len(WAYS), p=SHARES)], self.grid)


def batches(seed: tuple[int, ...], batch_size: int, grid: int) -> Iterator[Batch]:
    """An endless stream of batches, drawn in another process."""
    return iter(DataLoader(Pictures(seed, batch_size, grid), batch_size=None, num_workers=1, prefetch_factor=4))


def held_out(seed: tuple[int, ...], grid: int) -> list[Batch]:
    """Two batches of every way of prompting."""
    rng = np.random.default_rng(seed)
    return [sample(rng, 16, way, grid) for way in WAYS for _ in range(2)]


@torch.no_grad()
def measure(model: Cutter, held: list[Batch]) -> dict[str, float]:
    """Mean IoU at the picture's size by way of prompting, of all things and of faint ones' pictures."""
    scores: dict[str, list[Tensor]] = {}
    for batch in held:
        predicted = model(batch)[0] > 0
        iou = (predicted & batch.masks).sum((2, 3)) / (predicted | batch.masks).sum((2, 3)).clamp(min=1)
        scores.setdefault(batch.way, []).append(iou.flatten())
        thing, vivid = batch.cells[:, NAMES.index("thing")], batch.cells[:, NAMES.index("vivid")]
        faint = (thing - vivid).flatten(1).amax(1) > 0
        scores.setdefault("faint_pictures", []).append(iou[faint].flatten())
    return {name: torch.cat(values).mean().item() for name, values in scores.items()}
