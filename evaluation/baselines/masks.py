"""Baselines for masks and boxes: everything at once, or where such things usually are."""

from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ullava.configs.tokens import SEG
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.readers.base import Reader
from ullava.datasets.structures import Answer, Dialogue, Region, Sample
from ullava.evaluation.baselines.base import BASELINES, Baseline
from ullava.evaluation.engine.box_sources import THRESHOLD
from ullava.evaluation.engine.scoring import mask_of, promised, true_box
from ullava.evaluation.engine.sizes import size_of

GRID = (64, 64)  # cells of a learned position map


@BASELINES.register("all_objects")
class AllObjects(Baseline):
    """The union of the sample's regions, whichever is asked for.

    Where a sample's only region is the answer, the regions are those of the label maps that the same dataset has of its
    pictures, and where it has none the baseline does not suit.
    """

    reads = "mask"
    tasks = ("res", "keyword", "part", "reasoning", "salient", "semantic")
    alone = ("salient", "reasoning")  # tasks of such samples

    def prove(self, lessons):
        if self.row.task in self.alone:
            self.label_maps()

    def suits(self, questions):
        return self.row.task not in self.alone or all(
            paths(question.meant.sample) in self.maps for question in questions
        )

    @cached_property
    def maps(self) -> dict[tuple[Path, ...], Sample]:
        """What the dataset has for task `semantic`, by picture; empty where that is one region a picture all over."""
        samples = {paths(sample): sample for sample in self.label_maps() or ()}
        return samples if any(len(sample.regions) > 1 for sample in samples.values()) else {}

    def label_maps(self) -> Reader | None:
        """The row's dataset as task `semantic` reads it; None where it has nothing for that task."""
        try:
            return open_dataset(self.row.dataset, "semantic", dict(self.own))
        except LookupError:
            return None

    def answer(self, dialogue):
        sample = dialogue.sample
        regions = self.maps[paths(sample)].regions if self.row.task in self.alone else sample.regions
        return as_masks(dialogue, union(regions))


@BASELINES.register("mean_mask")
class MeanMask(Baseline):
    """The mean of all training masks, stretched over the picture; scaled so that 0.5 cuts it where the IoU is best."""

    reads = "mask"
    tasks = ("res", "keyword", "part", "reasoning", "salient")

    def learn(self, lessons):
        mean = mean_map([region for lesson in lessons for region in promised(lesson.meant, SEG)])
        self.map = np.minimum(mean * (THRESHOLD / best_cut(mean)), 1).astype(np.float32)

    def answer(self, dialogue):
        return as_masks(dialogue, self.map)


@BASELINES.register("class_prior")
class ClassPrior(Baseline):
    """For each class the cells where its training masks usually are, cut where the IoU with them is best."""

    reads = "mask"
    tasks = ("semantic",)

    def learn(self, lessons):
        regions: dict[str | None, list[Region]] = {}
        for lesson in lessons:
            for region in promised(lesson.meant, SEG):
                regions.setdefault(region.category, []).append(region)
        means = {category: mean_map(members) for category, members in regions.items()}
        self.cells = {category: (mean > best_cut(mean)).astype(np.float32) for category, mean in means.items()}

    def answer(self, dialogue):
        regions = promised(dialogue, SEG)
        empty = np.zeros(GRID, np.float32)
        masks = tuple(stretch(self.cells.get(region.category, empty), mask_of(region).size) for region in regions)
        return Answer(dialogue.turns[-1].answer, {"mask": masks})


@BASELINES.register("constant_box")
class ConstantBox(Baseline):
    """The one box, in shares of the picture, with the best acc@0.5 (then mean IoU) on the training boxes."""

    reads = "box"
    tasks = ("rec", "res", "keyword", "part", "reasoning", "salient")

    def prove(self, lessons):
        if lessons is not None and not any(lesson.meant.promises for lesson in lessons):
            raise ValueError(f"{self.row.trivial}: expected boxes to learn from, found none in {len(lessons)} answers")

    def learn(self, lessons):
        truths = []
        for lesson in lessons:
            for promise in lesson.meant.promises:
                height, width = size_of(lesson.meant.sample.media[promise.region.picture])
                truths.append(np.asarray(true_box(promise.region)) / (width, height, width, height))
        self.box = best_box(np.array(truths))

    def answer(self, dialogue):
        boxes = []
        for promise in dialogue.promises:
            height, width = size_of(dialogue.sample.media[promise.region.picture])
            boxes.append(tuple(self.box * (width, height, width, height)))
        return Answer(dialogue.turns[-1].answer, {"box": tuple(boxes)})


def paths(sample: Sample) -> tuple[Path, ...]:
    """Paths of a sample's media, by which annotations of it in several formats are matched."""
    return tuple(medium.path for medium in sample.media)


def as_masks(dialogue: Dialogue, map_: np.ndarray) -> Answer:
    """The written answer, with the same map under each of its [SEG]."""
    regions = promised(dialogue, SEG)
    return Answer(dialogue.turns[-1].answer, {"mask": tuple(stretch(map_, mask_of(region).size) for region in regions)})


def union(regions) -> np.ndarray:
    """Where any of the regions is, (H, W) float32."""
    drawn = [region.mask.draw() for region in regions if region.mask]
    return np.logical_or.reduce(drawn).astype(np.float32)


def stretch(map_: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A float32 map in another size, between its cells linearly."""
    if map_.shape == size:
        return map_
    return np.asarray(Image.fromarray(map_).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def mean_map(regions: list[Region]) -> np.ndarray:
    """Share of the regions that cover each cell, GRID float32."""
    total = np.zeros(GRID, np.float64)
    for region in regions:
        drawn = Image.fromarray(mask_of(region).draw().astype(np.float32))
        total += np.asarray(drawn.resize((GRID[1], GRID[0]), Image.Resampling.BOX))
    return (total / max(len(regions), 1)).astype(np.float32)


def best_cut(mean: np.ndarray) -> float:
    """The share above which cells, taken together, have the best IoU with the masks behind `mean`.

    Of the k likeliest cells, sum of I = their sum of shares, and sum of U = k + the sum of all shares - I.
    """
    falling = np.sort(mean, axis=None)[::-1]
    shared = falling.cumsum(dtype=np.float64)
    last = falling[np.argmax(shared / (np.arange(1, mean.size + 1) + shared[-1] - shared))]
    return float(last + mean.max(where=mean < last, initial=0)) / 2 or 1.0  # 1: nothing was ever there


def best_box(truths: np.ndarray) -> np.ndarray:
    """Searches the box with the best acc@0.5, then mean IoU, on (N, 4) boxes in 0..1: on a grid, then around."""
    edges = np.linspace(0, 1, 11)
    spans = np.array([(low, high) for low in edges for high in edges if low < high])
    across, down = (index.ravel() for index in np.indices((len(spans), len(spans))))
    grid = np.stack([spans[across, 0], spans[down, 0], spans[across, 1], spans[down, 1]], 1)
    best = best_of(np.vstack([grid, np.median(truths, axis=0)]), truths)
    steps = np.stack(np.meshgrid(*[(-1, 0, 1)] * 4), -1).reshape(-1, 4)
    for size in (0.05, 0.025, 0.0125):
        best = best_of(np.clip(best + size * steps, 0, 1), truths)
    return best


def best_of(boxes: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """The one of (M, 4) boxes with the best (acc@0.5, mean IoU) on (N, 4) truths."""
    merits = []
    for box in boxes:
        inner = np.minimum(truths[:, 2:], box[2:]) - np.maximum(truths[:, :2], box[:2])
        shared = inner.clip(0).prod(1)
        iou = shared / (np.prod(box[2:] - box[:2]) + (truths[:, 2:] - truths[:, :2]).prod(1) - shared + 1e-12)
        merits.append(((iou >= 0.5).mean(), iou.mean()))
    return boxes[max(range(len(boxes)), key=merits.__getitem__)]
