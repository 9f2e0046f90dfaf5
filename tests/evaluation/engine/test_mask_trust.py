"""Which masks are good enough to be learned from."""

import numpy as np
import pytest

from ullava.evaluation.engine.mask_trust import KEPT, REASONS, Trust, stability

SURE = np.zeros((10, 10), np.float32)
SURE[2:6, 2:7] = 1  # 20 of 100 pixels
MODEST = Trust(quality=0.5, stability=0.5, smallest=0.05, largest=0.5)


def test_stability_is_the_iou_of_a_narrow_and_a_wide_mask():
    mask = SURE.copy()
    mask[6, 2:7] = 0.6  # above the sigmoid of -1, 0.27, and below that of 1, 0.73: 20 of 25 pixels
    assert stability(mask) == pytest.approx(0.8)
    assert stability(np.zeros((3, 3))) == 0


def test_a_sure_mask_is_kept_with_its_numbers():
    verdict, mask, numbers = MODEST.judge(SURE, 0.9)
    assert verdict == KEPT and numbers == {"quality": 0.9, "stability": 1.0, "area": 0.2}
    np.testing.assert_array_equal(mask, SURE == 1)


def test_crumbs_are_taken_off():
    mask = SURE.copy()
    mask[9, 9] = 1
    assert MODEST.judge(mask, 0.9)[1].sum() == 20


@pytest.mark.parametrize(
    ("mask", "quality", "reason"),
    [
        (None, 1.0, 0), (SURE, 0.4, 1), (np.full((10, 10), 0.51), 1.0, 2), (SURE * 0, 1.0, 2),
        (np.eye(10) * (np.arange(10) < 2), 1.0, 3), (np.ones((10, 10)), 1.0, 4),
    ],
)  # fmt: skip
def test_what_is_dropped_says_why(mask, quality, reason):
    assert MODEST.judge(mask, quality)[0] == REASONS[reason]


def test_an_empty_mask_is_too_small_whatever_is_allowed():
    assert Trust(0, 0, 0, 1).judge(SURE * 0, 1.0)[0] == "too small"


def test_thresholds_are_shares():
    with pytest.raises(ValueError, match="stability: expected a share between 0 and 1, found 95"):
        Trust(stability=95)
