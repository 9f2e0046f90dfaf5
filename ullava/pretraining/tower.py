"""Pretrains the vision tower: every patch learns what covers it, and where, from the world's own symbols.

The last layer's states have to hold what the language model reads in a form that a linear layer can take out: one head
predicts the weights of all cell words (`cells.write_scene`) from them, another names the attributes, and both are
thrown away afterwards. A tower that learns only what is in a patch forgets where that is, and boxes never learn.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from ullava.datasets.tiny_world.pixels import draw
from ullava.datasets.tiny_world.scene import COLORS, SHAPES, TEXTURES, sample_scene
from ullava.models.tiny import tiny_clip
from ullava.pretraining.cells import CELL_WORDS, FIRST_WIDTH, FIRST_X, FIRST_Y, GRID, INDEX, STEP, write_scene

MEAN, STD = (0.36, 0.35, 0.36), (0.2, 0.2, 0.2)
GROUPS = {
    "size": ("small", "large"),
    "texture": TEXTURES,
    "color": COLORS,
    "shape": SHAPES,
    "vivid": ("vivid", "faint"),
}


class Seer(nn.Module):
    """A tower with throwaway heads on the states of its patches."""

    def __init__(self):
        super().__init__()
        self.clip = tiny_clip()
        width = self.clip.config.hidden_size
        self.words = nn.Linear(width, len(CELL_WORDS))
        self.names = nn.Linear(width, len(CELL_WORDS))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) -> linear readings and logits of all words, (B, 64, words) each."""
        states = self.clip(pixels).last_hidden_state[:, 1:]
        return self.words(states), self.names(states)


def normalise(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S)."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std


def loss(model: Seer, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Squared error of all words, and cross-entropies of the attributes where something is, and of what is where."""
    pixels, truth = batch
    with torch.autocast("cpu", torch.bfloat16):
        words, names = model(normalise(pixels))
    words, names = words.float(), names.float()
    thing = truth[..., INDEX["thing"]] > 0
    squared = (words - truth).square().mean(-1)
    parts: dict[str, Tensor] = {"words": 10 * (squared[thing].mean() + 0.5 * squared[~thing].mean())}
    errors = [(read - true)[thing].abs().mean() for read, true in zip(places(words), places(truth), strict=True)]
    parts["place"] = 2 * sum(errors, torch.zeros(()))
    for kind, group in GROUPS.items():
        columns = [INDEX[word] for word in group]
        parts[kind] = F.cross_entropy(names[thing][:, columns], truth[thing][:, columns])
    for word in ("thing", "centre"):
        parts[word] = F.binary_cross_entropy_with_logits(names[..., INDEX[word]], truth[..., INDEX[word]]) * 3
    return sum(parts.values(), torch.zeros(())), parts


def places(words: Tensor) -> list[Tensor]:
    """x, y and width by the predicted weights of all words, (B, 64, words): three of (B, 64), in steps of the grid."""
    return [
        words[..., first : first + count] @ torch.arange(count).float()
        for first, count in ((FIRST_X, GRID + 1), (FIRST_Y, GRID + 1), (FIRST_WIDTH, 4))
    ]


class Pictures(IterableDataset):
    """An endless stream of batches of drawn scenes with the words of their cells."""

    def __init__(self, seed: tuple[int, ...], batch_size: int):
        self.seed, self.batch_size = seed, batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield sample(rng, self.batch_size)


def sample(rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
    """Draws (count, S, S, 3) uint8 pictures and (count, 64, words) weights."""
    scenes = [sample_scene(rng) for _ in range(count)]
    pixels = np.stack([draw(scene, rng) for scene in scenes])
    return torch.from_numpy(pixels), torch.from_numpy(np.stack([write_scene(scene, None) for scene in scenes]))


def batches(seed: tuple[int, ...], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """An endless stream of batches, drawn in another process."""
    return iter(DataLoader(Pictures(seed, batch_size), batch_size=None, num_workers=1, prefetch_factor=4))


@torch.no_grad()
def measure(model: Seer, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Share of right attributes at things' centres and elsewhere on them; how far the linear places are off, pixels."""
    pixels, truth = batch
    words, names = model(normalise(pixels))
    thing, centre = truth[..., INDEX["thing"]] > 0, truth[..., INDEX["centre"]] > 0
    scores = {}
    for kind, group in GROUPS.items():
        columns = [INDEX[word] for word in group]
        right = names[..., columns].argmax(-1) == truth[..., columns].argmax(-1)
        scores |= {kind: right[thing].float().mean().item(), f"{kind}_centre": right[centre].float().mean().item()}
    peaks = names[..., INDEX["centre"]] > 0
    scores["centre_F1"] = (2 * (peaks & centre).sum() / (peaks.sum() + centre.sum())).item()
    scores["thing"] = ((names[..., INDEX["thing"]] > 0) == thing).float().mean().item()
    for name, read, true in zip(("x", "y", "width"), places(words), places(truth), strict=True):
        scores[f"{name}_pixels_off"] = STEP * (read - true)[thing].abs().mean().item()
    spread = (truth[thing] - truth[thing].mean(0)).square().sum()
    scores["words_R2"] = (1 - (words - truth)[thing].square().sum() / spread).item()
    return scores
