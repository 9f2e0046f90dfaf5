"""What the model eats: rows of tokens, the pictures that stand in them, and where each promise is read and kept.

Axes: B rows, L columns (tokens), P pictures, V videos, F frames of a video, Q pictures in SAM's frame, N promises of
one token. Pixels travel as uint8 (.., S, S, 3) and are normalised on the device.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


def moved(value: Any, device: torch.device | str) -> Any:
    """`value` with every tensor in it on `device`."""
    if isinstance(value, Tensor | Promised | Media):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(item, device) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(item, device) for item in value)
    return value


@dataclass(frozen=True, slots=True)
class Movable:
    """A dataclass of tensors that travels as one."""

    def to(self, device: torch.device | str, **_: Any) -> Self:
        """A copy on `device`; nothing is cast, so boxes stay as fine as they are whatever the run's precision."""
        return replace(self, **{f.name: moved(getattr(self, f.name), device) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class Media(Movable):
    """Pictures or videos, and where their tokens stand.

    Attributes:
        tensors: what the backbone sees, by names that are its own; for a tower `pixels`, (P, S, S, 3) or
            (V, F, S, S, 3) uint8.
        rows, columns: (P,) row, and column of the first token that carries a feature.
        keys: names under which features may be kept.
    """

    tensors: Mapping[str, Tensor]
    rows: Tensor
    columns: Tensor
    keys: tuple[str, ...]

    @property
    def pixels(self) -> Tensor:
        """What a tower sees."""
        return self.tensors["pixels"]


@dataclass(frozen=True, slots=True)
class Promised(Movable):
    """The promises of one token in a batch, in the order of rows and text.

    Attributes:
        rows, columns: (N,) where the state lies that emits the token: one before it (LISA's rule).
        turns: (N,) number of the answer that says it, within its row.
        owners: which of the batch's frames own a promise, Q numbers; -1 alone where there is no frame.
        pictures: (N,) index into `owners`; slots: (N,) running number within that picture; depth: most of one picture.
        sizes: (H, W) of the original picture, one per promise.
        masks: (H, W) uint8 targets, for those promises whose numbers `with_mask` lists: 1 target, 0 background,
            `masks.IGNORED` counts nowhere; `ignoring` says whether any pixel does not count.
        boxes: (M, 4) float64 targets, x0, y0, x1, y1 as fractions of the picture; for those that `with_box` lists.
        words: ids of each word of each promise, N tuples or none at all.
    """

    rows: Tensor
    columns: Tensor
    turns: Tensor
    owners: tuple[int, ...]
    pictures: Tensor
    slots: Tensor
    depth: int
    sizes: tuple[tuple[int, int], ...]
    masks: tuple[Tensor, ...] = ()
    with_mask: tuple[int, ...] = ()
    boxes: Tensor = field(default_factory=lambda: torch.zeros(0, 4, dtype=torch.float64))
    with_box: tuple[int, ...] = ()
    ignoring: bool = False
    words: tuple[tuple[tuple[int, ...], ...], ...] = ()

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, slots=True)
class Batch(Movable):
    """One batch.

    Attributes:
        ids: of the dialogues, for messages.
        input_ids, attention_mask: (B, L).
        target_rows, target_columns, target_ids: (T,) where a state is supervised, and the token it has to emit.
        pictures, videos: what the vision tower sees; None where the batch has none.
        frames: (Q, S, S, 3) uint8, what SAM sees: pictures that own a promise, or may.
        frame_sizes: (H, W) of their originals; frame_keys: names of their features; frame_rows: their rows.
        promised: owner token -> where its promises stand.
        counts: loss group -> how many numbers it has here ("lm" tokens, "mask" and "box" promises with a target).
        places: (epoch, position) of each row in the mixture, for messages.
    """

    ids: tuple[str, ...]
    input_ids: Tensor
    attention_mask: Tensor
    target_rows: Tensor
    target_columns: Tensor
    target_ids: Tensor
    pictures: Media | None
    videos: Media | None
    frames: Tensor | None
    frame_sizes: tuple[tuple[int, int], ...]
    frame_keys: tuple[str, ...]
    frame_rows: tuple[int, ...]
    promised: Mapping[str, Promised]
    counts: Mapping[str, int]
    places: tuple[tuple[int, int] | None, ...] = ()
