"""A batch of ids and pixels alone, as transformers' users hold it, as the network takes it."""

from hashlib import sha256

import torch
from torch import Tensor

from ullava.configs.tokens import IMAGE, VIDEO
from ullava.models.backbones.tower_layout import TowerLayout
from ullava.models.batching.batch import Batch, Media
from ullava.models.batching.collator import numbers
from ullava.models.batching.processor import Processor


def batch_of_pixels(
    processor: Processor,
    input_ids: Tensor,
    pictures: Tensor | None,
    videos: Tensor | None,
    attention_mask: Tensor | None = None,
) -> Batch:
    """A batch without promises or targets, on the device of the ids.

    Args:
        processor: of the network: which ids stand for patches, and how many of them a medium has.
        input_ids: (B, L) with as many patch tokens as the media need.
        pictures: (P, S, S, 3) uint8; videos: (V, F, S, S, 3) uint8; in the order in which their patches stand.
        attention_mask: (B, L); None: every id counts.

    Raises:
        ValueError: a backbone without a vision tower, pixels of another shape or type, or another number of patch
            tokens than they need.
    """
    layout, device = processor.layout, input_ids.device
    if not isinstance(layout, TowerLayout):
        raise ValueError(f"pixel_values: expected the layout of a vision tower, found {type(layout).__name__}")
    side = layout.view.side
    shapes = {"pixel_values": (side, side, 3), "pixel_values_videos": (layout.frames, side, side, 3)}
    for (name, shape), pixels in zip(shapes.items(), (pictures, videos), strict=True):
        if pixels is not None and (pixels.shape[1:] != shape or pixels.dtype != torch.uint8):
            raise ValueError(f"{name}: expected (N, {str(shape)[1:]} uint8, found {tuple(pixels.shape)} {pixels.dtype}")
    none = numbers([]).to(device)
    return Batch(
        ids=tuple(f"row {row}" for row in range(len(input_ids))),
        input_ids=input_ids,
        attention_mask=torch.ones_like(input_ids) if attention_mask is None else attention_mask,
        target_rows=none,
        target_columns=none,
        target_ids=none,
        pictures=placed(processor, input_ids, IMAGE, pictures, layout.patches),
        videos=placed(processor, input_ids, VIDEO, videos, layout.patches + layout.frames),
        frames=None,
        frame_sizes=(),
        frame_keys=(),
        frame_rows=(),
        promised={},
        counts={},
    )


def placed(processor: Processor, input_ids: Tensor, kind: str, pixels: Tensor | None, tokens: int) -> Media | None:
    """Media of one kind where their patches, `tokens` of each, stand in the ids; None where there are none."""
    rows, columns = (input_ids == processor.patch_ids.get(kind, -1)).nonzero(as_tuple=True)
    count = 0 if pixels is None else len(pixels)
    if len(rows) != count * tokens:
        raise ValueError(
            f"input_ids: expected {count * tokens} patch tokens for {count} media of the kind {kind}, found "
            f"{len(rows)}; take ids and pixels from one call of the processor"
        )
    if pixels is None:
        return None
    # Features are kept by the name of a picture; here that is what it shows.
    keys = tuple(sha256(medium.cpu().contiguous().numpy().tobytes()).hexdigest() for medium in pixels)
    return Media({"pixels": pixels.to(input_ids.device)}, rows[::tokens], columns[::tokens], keys)
