"""Losses, one number per promise: pure, unweighted, unreduced, float32.

Only the model takes means, over all promises of an optimizer step; only the YAML holds weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def focal(logits: Tensor, truth: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al., arXiv:1708.02002, eq. 5), of each element. Both of one shape, truth 0 or 1."""
    logits, truth = logits.float(), truth.float()
    p = logits.sigmoid()
    missed = 1 - (p * truth + (1 - p) * (1 - truth))
    weight = alpha * truth + (1 - alpha) * (1 - truth)
    return weight * missed**gamma * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def mask_bce(logits: Tensor, masks: Tensor, counted: Tensor | None = None) -> Tensor:
    """Binary cross-entropy, mean over pixels. Both (N, H, W), masks in 0..1 -> (N,).

    `counted` (N, H, W), 0..1, says how much of each pixel counts; None: all of them.
    """
    each = F.binary_cross_entropy_with_logits(logits.float(), masks.float(), reduction="none").flatten(1)
    if counted is None:
        return each.mean(1)
    weight = counted.float().flatten(1)
    return (each * weight).sum(1) / weight.sum(1).clamp(min=1)


def mask_dice(logits: Tensor, masks: Tensor, counted: Tensor | None = None, eps: float = 1e-3) -> Tensor:
    """1 - Dice coefficient (Milletari et al., arXiv:1606.04797). Both (N, H, W) -> (N,); `counted` as above.

    `eps` equals the published LISA and u-LLaVA code's scale=1000, eps=1e-6 (LISA: model/LISA.py, dice_loss).
    """
    p, t = logits.float().sigmoid().flatten(1), masks.float().flatten(1)
    if counted is not None:
        p, t = p * counted.flatten(1), t * counted.flatten(1)
    return 1 - (2 * (p * t).sum(1) + eps) / (p.sum(1) + t.sum(1) + eps)


def box_l1(boxes: Tensor, targets: Tensor) -> Tensor:
    """L1 distance, sum over the four coordinates. Both (N, 4) x0, y0, x1, y1 in one frame -> (N,)."""
    return (boxes.float() - targets.float()).abs().sum(1)


def box_giou(boxes: Tensor, targets: Tensor) -> Tensor:
    """1 - generalised IoU (Rezatofighi et al., arXiv:1902.09630, algorithm 1). Both (N, 4) -> (N,), in 0..2.

    A predicted box whose corners have changed places covers nothing: its loss is 1 or more, and the L1 term turns it
    round. (u-LLaVA drops such boxes, models/loss.py, and with them the gradient where it is needed most; to read them
    as the box between their corners makes a minimum out of the wrong order.)
    """
    boxes, targets = boxes.float(), targets.float()
    low, high = boxes[:, :2], boxes[:, 2:]
    overlap = (torch.minimum(high, targets[:, 2:]) - torch.maximum(low, targets[:, :2])).clamp(min=0).prod(1)
    areas = (high - low).clamp(min=0).prod(1) + (targets[:, 2:] - targets[:, :2]).prod(1)
    union = areas - overlap
    reach = torch.stack([low, high, targets[:, :2], targets[:, 2:]])
    hull = (reach.amax(0) - reach.amin(0)).prod(1)
    tiny = torch.finfo(torch.float32).tiny
    return 1 - overlap / union.clamp(min=tiny) + (hull - union) / hull.clamp(min=tiny)


def contrastive(similarity: Tensor, belongs: Tensor) -> Tensor:
    """How badly things and names find each other, half each way: (N, M) similarities of N things and M names -> (N,).

    `belongs` (N, M) says which names a thing has, one at least; all weigh alike, and what several have is right for
    each of them. With one name a thing, all different, this is InfoNCE both ways (arXiv:1807.03748; CLIP,
    arXiv:2103.00020); with several, GroupViT's soft cross-entropy (arXiv:2202.11094, multi-label contrastive loss).
    """
    logits = similarity.float()
    either = (logits.logsumexp(1, keepdim=True) + logits.logsumexp(0, keepdim=True)) / 2
    weight = belongs.float() / belongs.sum(1, keepdim=True)
    return (weight * (either - logits)).sum(1)
