"""What SAM sees under a mask: the mean of its features, a vector a mask."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ullava.datasets.images import View
from ullava.models.batching.batch import Promised
from ullava.models.heads.mask import MaskLogits


def under(masks: MaskLogits, view: View, *, truly: bool) -> Tensor:
    """(N, C) means of SAM's features under N masks, what lies outside of the picture left out.

    Args:
        truly: take the true masks, where there are some; else all predicted ones.
    """
    assert masks.features is not None  # the mask head gives them
    features, promised = masks.features.float(), masks.promised
    if not len(promised):
        return masks.logits.sum() + features.new_zeros(0, features.shape[1])
    places = (features.shape[-2], features.shape[-1])
    weight = F.adaptive_avg_pool2d(masks.logits.float().sigmoid()[:, None], places)[:, 0]
    if truly and promised.with_mask:
        predicted = [n for n in range(len(promised)) if n not in promised.with_mask]
        both = torch.cat([weight[predicted], true(promised, view, places)])
        weight = both[np.argsort([*predicted, *promised.with_mask])]
    weight = (weight * inside(promised.sizes, view, places, weight.device)).flatten(1)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    grid = weight.new_zeros(len(features), promised.depth, weight.shape[1])
    grid[promised.pictures, promised.slots] = weight  # a picture's features are read once for all of its promises
    with torch.autocast(weight.device.type, enabled=False):
        return torch.bmm(grid, features.flatten(2).mT)[promised.pictures, promised.slots]


def true(promised: Promised, view: View, places: Sequence[int]) -> Tensor:
    """(M, h, w) how much of each cell of SAM's grid the true masks cover."""
    covered = promised.masks[0].new_zeros(len(promised.masks), *places, dtype=torch.float32)
    for n, (mask, number) in enumerate(zip(promised.masks, promised.with_mask, strict=True)):
        ends = view.resized(promised.sizes[number])
        height, width = (-(-end * count // view.side) for end, count in zip(ends, places, strict=True))
        covered[n, :height, :width] = F.interpolate((mask == 1)[None, None].float(), (height, width), mode="area")[0, 0]
    return covered


def inside(sizes: Sequence[tuple[int, int]], view: View, places: Sequence[int], device: torch.device) -> Tensor:
    """(N, h, w) bool, which cells of SAM's grid hold some of the picture."""
    ends = torch.tensor([view.resized(size) for size in sizes], device=device) / view.side
    rows, columns = (torch.arange(count, device=device) / count for count in places)
    return (rows < ends[:, :1])[:, :, None] & (columns < ends[:, 1:])[:, None]
