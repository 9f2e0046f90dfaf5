"""What a sample costs on its way to the batch, against the bare decoding and resizing, and against u-LLaVA's way.

Seconds are of this process on its core (CPU time), so that a busy machine does not count. The bare way is Pillow alone:
decode, pad to a square and resize for CLIP, resize for SAM. u-LLaVA's way (base_dataset.py, processors/, seg_toolbox)
does the same, and then normalises both in float32 on the CPU, pads SAM's to 1024 x 1024, and holds masks as float32.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import pad

from benchmarks.sizes import SIZES, dialogues, recipe, samples
from ullava.configs.tokens import IMAGE
from ullava.datasets import boxes
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.images import WHITE, View
from ullava.datasets.structures import Dialogue
from ullava.models.batching.collator import Collator
from ullava.models.batching.example import PlacedMedium
from ullava.models.batching.processor import Processor
from ullava.models.processor_from_config import processor_from_config
from ullava.tasks.base import TASKS
from ullava.tasks.mixture import Mixture, MixtureEntry

SAM_MEAN, SAM_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # segment-anything, modeling/sam.py
CLIP_MEAN, CLIP_STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)
REAL = (("coco_mini_train", "res"), ("refcoco_sample", "res"), ("duts_sample_train", "salient"),
        ("camvid_train", "semantic"))  # fmt: skip
BATCH = 16
Source = Callable[[], Iterator[Dialogue]]  # begins anew at each call


class FloatProcessor(Processor):
    """u-LLaVA's way with pixels and masks; the text is ours."""

    def place(self, medium, column: int, framed: bool) -> PlacedMedium:
        """Decodes, resizes and normalises on the CPU."""
        pixels = np.array(Image.open(medium.path).convert("RGB"))
        frame = self.frame_of(pixels) if framed else None
        return PlacedMedium(IMAGE, column, {"pixels": self.clip_of(pixels)}, frame, pixels.shape[:2], str(medium.path))

    def clip_of(self, pixels: np.ndarray) -> np.ndarray:
        """(3, S, S) float32: a white square around, resized, rescaled, normalised, as CLIPImageProcessor does."""
        side, left, top = boxes.padding(pixels.shape[:2])
        square = np.full((side, side, 3), WHITE, np.uint8)
        square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        small = Image.fromarray(square).resize((self.view.side, self.view.side), Image.Resampling.BICUBIC)
        scaled = np.asarray(small) * np.float32(1 / 255)
        return ((scaled - np.float32(CLIP_MEAN)) / np.float32(CLIP_STD)).transpose(2, 0, 1)

    def frame_of(self, pixels: np.ndarray) -> np.ndarray:
        """(3, S, S) float32: the longer side resized, normalised, padded with zeros."""
        height, width = self.mask_view.resized(pixels.shape[:2])
        resized = np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
        tensor = torch.as_tensor(resized).permute(2, 0, 1).contiguous()
        mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (SAM_MEAN, SAM_STD))
        return pad((tensor - mean) / std, (0, self.mask_view.side - width, 0, self.mask_view.side - height)).numpy()

    def keep(self, *arguments):
        """A promise whose mask is float32."""
        kept = super().keep(*arguments)
        return kept if kept.mask is None else replace(kept, mask=kept.mask.astype(np.float32))


def bare(path: Path, view: View, mask_view: View) -> None:
    """Decoding and both resizes, by Pillow alone."""
    picture = Image.open(path).convert("RGB")
    side, left, top = boxes.padding(picture.size[::-1])
    square = Image.new("RGB", (side, side), WHITE)
    square.paste(picture, (left, top))
    np.asarray(square.resize((view.side, view.side), Image.Resampling.BICUBIC))
    height, width = mask_view.resized(picture.size[::-1])
    np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))


def processors(folder: Path) -> tuple[Processor, FloatProcessor]:
    """Ours and u-LLaVA's, as stage II has them at full size: CLIP's 224 and SAM's 1024 pixels."""
    config = recipe(SIZES["7b"], 2, folder, [])
    ours = processor_from_config(config.model, max_length=config.training.max_length)
    how = {"layout": ours.layout, "mask_view": ours.mask_view, "max_length": ours.max_length}
    return ours, FloatProcessor(ours.tokenizer, ours.conversation, **how)


def drawn(folder: Path) -> Source:
    """Dialogues without end about drawn pictures of 480 x 640: three things, mask and box each."""
    found = samples(SIZES["7b"], folder)
    return lambda: dialogues(found, 2)


def real() -> Source:
    """Dialogues without end about real samples, through the whole mixture: readers, tables, tasks.

    Raises:
        FileNotFoundError: they are not here.
    """
    rows = [MixtureEntry(open_dataset(name, task), TASKS.build(task, {})) for name, task in REAL]
    mixture = Mixture(rows, seed=0)
    return lambda: (mixture[epoch, k] for epoch in range(1000) for k in range(mixture.size(epoch)))


def spent(work: Callable[[], None]) -> float:
    """Seconds of this core."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(source: Source, ours: Processor, theirs: Processor, count: int, rounds: int = 5) -> list[float]:
    """Milliseconds a sample: bare, our whole way, our batch, u-LLaVA's batch; the best of rounds that take turns."""
    asked = list(islice(source(), count))
    paths = [dialogue.sample.media[0].path for dialogue in asked]
    collate = Collator(0, ["[SEG]", "[LOC]"])
    batches = [asked[k : k + BATCH] for k in range(0, count, BATCH)]

    def bare_way() -> None:
        for path in paths:
            bare(path, ours.view, ours.mask_view)

    def whole_way() -> None:
        for dialogue in islice(source(), count):
            ours(dialogue)

    def batch(processor: Processor) -> None:
        for some in batches:
            collate([processor(dialogue) for dialogue in some])

    ways = (bare_way, whole_way, lambda: batch(ours), lambda: batch(theirs))
    for way in ways:  # caches of fonts, files and codecs
        way()
    found = np.array([[spent(way) for way in ways] for _ in range(rounds)])
    return (1000 * np.min(found, axis=0) / count).tolist()


def parts(ours: Processor, asked: Sequence[Dialogue]) -> dict[str, float]:
    """Milliseconds a sample of each step of our way."""
    from benchmarks.ledger import Ledger
    from ullava.datasets import images

    ledger = Ledger(time.process_time)
    for owner, method, name in (
        (images, "load", "decode"), (View, "apply", "resize"), (Processor, "fit", "text"),
        (Processor, "promises", "promises"),
    ):  # fmt: skip
        ledger.watch(owner, method, name)
    with ledger.region("else"):
        for dialogue in asked:
            ours(dialogue)
    ledger.leave()
    return {name: 1000 * seconds / len(asked) for name, seconds in ledger.spent.items() if name != "other"}
