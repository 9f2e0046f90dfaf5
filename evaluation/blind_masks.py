"""Baselines for masks and boxes: everything at once, or where such things usually are."""

from functools import cached_property

import numpy as np
from PIL import Image

from ullava.configs.tokens import SEG
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.structures import Answer, Dialogue, Region, Sample
from ullava.evaluation.baselines import Baseline
from ullava.evaluation.marking import promised, true_box
from ullava.evaluation.sizes import size_of

GRID = (64, 64)  # cells of a learned position map


class AllObjects(Baseline):
    """The union of all masks of the picture, whatever is asked for.

    A salient sample holds the answer alone: there the masks come from the label maps that the same dataset has of its
    pictures, and without such maps the baseline says nothing.
    """

    name, reads = "all_objects", "mask"

    def suits(self):
        return self.row.task != "salient" or bool(self.maps)

    @cached_property
    def maps(self) -> dict[tuple, Sample]:
        """Samples with several regions, by picture, where the dataset has them for task `semantic`."""
        try:
            reader = open_dataset(self.row.dataset, "semantic", dict(self.own))
        except LookupError:
            return {}
        return {sample.media: sample for sample in reader if len(sample.regions) > 1}

    def answer(self, dialogue):
        sample = dialogue.sample
        regions = self.maps.get(sample.media, sample).regions if self.row.task == "salient" else sample.regions
        return as_masks(dialogue, union(regions))


class MeanMask(Baseline):
    """The mean of all training masks, stretched over the picture."""

    name, reads = "mean_mask", "mask"

    def learn(self, lessons):
        self.mean = mean_map([region for lesson in lessons for region in promised(lesson.meant, SEG)])

    def answer(self, dialogue):
        return as_masks(dialogue, self.mean)


class ClassPrior(Baseline):
    """For each class the cells where its training masks usually are, cut where the IoU with them is best."""

    name, reads = "class_prior", "mask"

    def learn(self, lessons):
        regions: dict[str | None, list[Region]] = {}
        for lesson in lessons:
            for region in promised(lesson.meant, SEG):
                regions.setdefault(region.category, []).append(region)
        self.cells = {category: best_cut(mean_map(members)) for category, members in regions.items()}

    def answer(self, dialogue):
        regions = promised(dialogue, SEG)
        empty = np.zeros(GRID, np.float32)
        masks = tuple(stretch(self.cells.get(region.category, empty), region.mask.size) for region in regions)
        return Answer(dialogue.turns[-1].answer, {"mask": masks})


class ConstantBox(Baseline):
    """The one box, in shares of the picture, with the best acc@0.5 (then mean IoU) on the training boxes."""

    name, reads = "constant_box", "box"

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


def as_masks(dialogue: Dialogue, map_: np.ndarray) -> Answer:
    """The written answer, with the same map under each of its [SEG]."""
    regions = promised(dialogue, SEG)
    return Answer(dialogue.turns[-1].answer, {"mask": tuple(stretch(map_, r.mask.size) for r in regions)})


def union(regions) -> np.ndarray:
    """Where any of the regions is, (H, W) float32."""
    drawn = [region.mask.draw() for region in regions if region.mask]
    return np.logical_or.reduce(drawn).astype(np.float32)


def stretch(map_: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A float32 map in another size, between its cells linearly."""
    if map_.shape == size:
        return map_
    return np.asarray(Image.fromarray(map_).resize(size[::-1], Image.Resampling.BILINEAR))


def mean_map(regions: list[Region]) -> np.ndarray:
    """Share of the regions that cover each cell, GRID float32."""
    total = np.zeros(GRID, np.float64)
    for region in regions:
        cells = Image.fromarray(region.mask.draw().astype(np.float32)).resize(GRID[::-1], Image.Resampling.BOX)
        total += np.asarray(cells)
    return (total / max(len(regions), 1)).astype(np.float32)


def best_cut(mean: np.ndarray) -> np.ndarray:
    """The cells, 0 or 1, whose IoU with the masks behind `mean` is the largest: sum of I / sum of U over all of them.

    Of the k likeliest cells, I = their sum of shares and U = k + the sum of all shares - I; k is chosen.
    """
    falling = np.sort(mean, axis=None)[::-1].cumsum()
    counts = np.arange(1, mean.size + 1)
    best = int(np.argmax(falling / (counts + falling[-1] - falling)))
    cells = np.zeros(mean.size, np.float32)
    cells[np.argsort(-mean, axis=None, kind="stable")[: best + 1]] = 1
    return cells.reshape(mean.shape)


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
