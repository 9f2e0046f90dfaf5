"""Whether a mask that a model drew is good enough to be learned from.

Segment Anything sifts the masks of its own data so (arXiv:2304.02643, appendix B): those are kept of which it expects
enough, that hardly change where their threshold does, and that are neither specks nor the whole picture.
"""

from dataclasses import dataclass

import numpy as np

from ullava.datasets.components import without_crumbs

KEPT = "kept"
REASONS = ("no mask was said", "little is expected of it", "unstable", "too small", "too large")
OFFSET = 1.0  # of logits (segment-anything, automatic_mask_generator.py, stability_score_offset)


@dataclass(frozen=True, slots=True)
class Trust:
    """Thresholds of what is kept.

    Attributes:
        quality: least IoU that the mask's own decoder expects; segment-anything's generator takes 0.88.
        stability: least IoU of the masks at logits above and below; 0.95 there.
        smallest, largest: share of the picture that a mask covers.
        crumbs: connected parts of less than this share of the largest one's pixels are taken off first.

    Raises:
        ValueError: a number is no share.
    """

    quality: float = 0.88
    stability: float = 0.95
    smallest: float = 0.001
    largest: float = 0.95
    crumbs: float = 0.1

    def __post_init__(self):
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a share between 0 and 1, found {getattr(self, name)}")

    def judge(self, mask: np.ndarray | None, quality: float) -> tuple[str, np.ndarray | None, dict[str, float]]:
        """Returns (KEPT or why not, the mask (H, W) bool without its crumbs, the numbers it was judged by).

        Args:
            mask: (H, W) probabilities; None where the model said none.
            quality: the IoU that its decoder expects.
        """
        if mask is None:
            return REASONS[0], None, {}
        drawn = without_crumbs(mask > 0.5, self.crumbs)
        area = float(drawn.mean())
        numbers = {"quality": quality, "stability": stability(mask), "area": area}
        wrong = (
            False, quality < self.quality, numbers["stability"] < self.stability, area < max(self.smallest, 1e-9),
            area > self.largest,
        )  # fmt: skip
        verdict = next((reason for reason, is_so in zip(REASONS, wrong, strict=True) if is_so), KEPT)
        return verdict, drawn, {name: round(number, 4) for name, number in numbers.items()}


def stability(mask: np.ndarray) -> float:
    """IoU of the masks that logits above OFFSET and above -OFFSET make of (H, W) probabilities; 0 of an empty one."""
    high, low = (1 / (1 + np.exp(-offset)) for offset in (OFFSET, -OFFSET))
    wide = int(np.count_nonzero(mask > low))
    return int(np.count_nonzero(mask > high)) / wide if wide else 0.0
