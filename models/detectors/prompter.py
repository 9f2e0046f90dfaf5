"""Asks a GroundingDINO for what a phrase names: one picture and one text at a time, as it was published.

In a batch the reference mixes the texts of its pictures (its mask is laid over the heads in the wrong order); a picture
with a text of its own cannot go wrong, and of a picture asked about twice the backbone's maps are kept.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ullava.datasets import images
from ullava.datasets.structures import Box, Picture
from ullava.models.detectors.grounding_dino import Found, find, look, read, to_pixels
from ullava.models.detectors.opening import Opened

KEPT = 16  # pictures whose maps are kept


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture's maps, and its original (H, W)."""

    maps: tuple[Tensor, ...]
    pixels: tuple[int, int]
    size: tuple[int, int]


class Prompter:
    """Finds boxes for phrases.

    Args:
        opened: the detector.
        threshold: least probability of a box's best token; text_threshold: of a token that a box answers to.
    """

    def __init__(self, opened: Opened, *, threshold: float = 0.25, text_threshold: float = 0.2):
        assert opened.tokenizer is not None  # `open_detector` read it
        self.tokenizer = opened.tokenizer
        self.opened, self.threshold, self.text_threshold = opened, threshold, text_threshold
        self.kept: OrderedDict[Picture, Seen] = OrderedDict()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        cast(nn.Module, opened.detector).to(torch.device(device))  # transformers' own `to` loses its signature

    @torch.no_grad()
    def __call__(self, picture: Picture, words: str) -> list[Box]:
        """Boxes of what `words` name, best first, in pixels of the picture; none where nothing answers to them."""
        detector, tokenizer = self.opened.detector, self.tokenizer
        seen = self.see(picture)
        encoded = tokenizer(caption(words), return_tensors="pt", truncation=True).to(detector.device)
        inside = torch.ones(1, *seen.pixels, dtype=torch.bool, device=detector.device)
        text = read(detector, encoded["input_ids"], encoded["attention_mask"])
        found = find(detector, seen.maps, inside, text)
        boxes, scores, answered = over(found, 0, self.threshold, self.text_threshold)
        stops = torch.isin(encoded["input_ids"][0], detector.model.special_tokens.to(detector.device))
        boxes = boxes[(answered & ~stops).any(-1)]
        return to_pixels(boxes.cpu().double().numpy(), seen.size)

    def see(self, picture: Picture) -> Seen:
        """The backbone's maps of a picture, computed once."""
        if picture not in self.kept:
            pixels, opened = images.read(picture), self.opened
            prepared = prepare(pixels, opened.mean, opened.std, opened.shortest, opened.longest)
            maps = look(opened.detector, prepared[None].to(opened.detector.device))
            self.kept[picture] = Seen(maps, (prepared.shape[1], prepared.shape[2]), pixels.shape[:2])
        while len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        return self.kept[picture]


def caption(words: str) -> str:
    """A phrase as the detector was taught to read it: lower case, with a stop at its end."""
    words = words.lower().strip()
    return words if words.endswith(".") else f"{words} ."


def resized(size: tuple[int, int], shortest: int, longest: int) -> tuple[int, int]:
    """(h, w) of a picture whose shorter side becomes `shortest`, unless its longer one would pass `longest`.

    Rounds as the reference does (GroundingDINO, datasets/transforms.py, resize).
    """
    low, high = min(size), max(size)
    if high / low * shortest > longest:
        shortest = round(longest * low / high)
    if low == shortest:
        return size
    height, width = size
    return (shortest, int(shortest * width / height)) if height <= width else (int(shortest * height / width), shortest)


def prepare(pixels: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], shortest: int, longest: int) -> Tensor:
    """(H, W, 3) uint8 -> (3, h, w) normalised."""
    height, width = resized(pixels.shape[:2], shortest, longest)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    scaled = (np.asarray(image, np.float32) / 255 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


def over(found: Found, row: int, threshold: float, text_threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """What picture `row` has over the thresholds: boxes (K, 4), their scores (K,), the tokens (K, T) they answer to."""
    chances = found.logits[-1, row].sigmoid()
    best = chances.amax(-1)
    kept = best > threshold
    return found.boxes[-1, row][kept], best[kept], chances[kept] > text_threshold


def phrase(tokenizer: PreTrainedTokenizerBase, ids: Tensor, answered: Tensor) -> str:
    """The words of the tokens that a box answers to, without the ends of the text and without stops."""
    inner = answered.clone()
    inner[0] = inner[-1] = False
    return cast(str, tokenizer.decode(ids[inner])).replace(".", "")  # one text: the ids are one row
