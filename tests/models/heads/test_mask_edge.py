"""Where a picture ends in the middle of a pixel of the decoder, that pixel still belongs to the picture."""

from dataclasses import replace

import pytest
import torch

from ullava.models.batching.collator import stand


@pytest.fixture
def head(fresh):
    head = fresh().model.heads["mask"]
    head.resolution = "decoder"
    return head


@pytest.mark.parametrize(
    ("size", "rows"),
    [
        ((60, 80), 24),  # 80 -> 96 pixels, 60 -> 72 rows: 72 * 32 / 96 = 24, nothing is left over
        ((61, 80), 25),  # 61 * 96 / 80 = 73.2 -> 73 rows: 24.33 of the decoder's, the last one a third full
        ((59, 80), 24),  # 70.8 -> 71 rows: 23.67
    ],
)
def test_the_decoders_last_row_is_compared_too(head, size, rows):
    whole = torch.ones(size, dtype=torch.uint8)
    promised = replace(stand([(0, 0)], [0], [size]), masks=(whole,), with_mask=(0,))
    ((_, logits, targets, _),) = head.compared(torch.zeros(1, 32, 32), promised, [size])
    assert head.tower.view.side == 96
    assert logits.shape == targets.shape == (1, rows, 32)
    assert targets.min() == 1  # the whole picture is the mask, to its edge
