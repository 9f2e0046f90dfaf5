"""Puts rows side by side: pads tokens, gathers pictures, and numbers the promises of each token."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ullava.configs.tokens import IMAGE, KEY, LOC, SEG, VIDEO
from ullava.datasets.masks import IGNORED
from ullava.models.batching.batch import Batch, Media, Promised
from ullava.models.batching.example import Example
from ullava.models.batching.layout import Arrays, MediaLayout, stacked

Frames = dict[tuple[int, int], int]  # (row, medium) -> number among the batch's frames


class Collator:
    """Makes a `Batch` of rows.

    Args:
        pad_id: token id that fills up a row; attention never reads it.
        tokens: owner tokens that some head reads.
        left: pad at the left, as generation wants it.
        layout: whose `collate` puts pixels side by side; None: those of one shape.
    """

    def __init__(
        self, pad_id: int, tokens: Sequence[str] = (), *, left: bool = False, layout: MediaLayout | None = None
    ):
        self.pad_id, self.tokens, self.left = pad_id, tuple(tokens), left
        self.together = layout.collate if layout else stacked

    def __call__(self, rows: Sequence[Example]) -> Batch:
        lengths = [len(row.input_ids) for row in rows]
        width = max(lengths)
        offsets = [width - length if self.left else 0 for length in lengths]
        input_ids = np.full((len(rows), width), self.pad_id, np.int64)
        mask, supervised = np.zeros_like(input_ids), np.zeros(input_ids.shape, bool)
        for i, (row, offset, length) in enumerate(zip(rows, offsets, lengths, strict=True)):
            input_ids[i, offset : offset + length] = row.input_ids
            mask[i, offset : offset + length] = 1
            supervised[i, offset : offset + length] = row.supervised
        supervised[:, 0] = False  # nothing stands before the first token that could emit it
        target_rows, target_columns = np.nonzero(supervised)
        framed = [(i, j) for i, row in enumerate(rows) for j, seen in enumerate(row.media) if seen.frame is not None]
        frames = [frame for row in rows for seen in row.media if (frame := seen.frame) is not None]
        number = {place: n for n, place in enumerate(framed)}
        promised = {token: self.promised(token, rows, offsets, number) for token in self.tokens}
        return Batch(
            ids=tuple(row.id for row in rows),
            input_ids=torch.from_numpy(input_ids),
            attention_mask=torch.from_numpy(mask),
            target_rows=torch.from_numpy(target_rows),
            target_columns=torch.from_numpy(target_columns - 1),
            target_ids=torch.from_numpy(input_ids[target_rows, target_columns]),
            pictures=gather(IMAGE, rows, offsets, self.together),
            videos=gather(VIDEO, rows, offsets, self.together),
            frames=torch.from_numpy(np.stack(frames)) if frames else None,
            frame_sizes=tuple(rows[i].media[j].size for i, j in framed),
            frame_keys=tuple(rows[i].media[j].key for i, j in framed),
            frame_rows=tuple(i for i, _ in framed),
            promised=promised,
            counts={"lm": len(target_rows)} | counts(promised),
            places=tuple(row.place for row in rows),
        )

    def promised(self, token: str, rows: Sequence[Example], offsets: Sequence[int], number: Frames) -> Promised:
        """The promises of `token`, in the order of rows and text."""
        promises = [(i, promise) for i, row in enumerate(rows) for promise in row.promises if promise.token == token]
        masks = {n: mask for n, (_, promise) in enumerate(promises) if (mask := promise.mask) is not None}
        boxes = {n: box for n, (_, promise) in enumerate(promises) if (box := promise.box) is not None}
        return replace(
            stand(
                [(i, promise.column + offsets[i] - 1) for i, promise in promises],
                [number.get((i, promise.picture), -1) for i, promise in promises],
                [rows[i].media[promise.picture].size for i, promise in promises],
            ),
            turns=numbers(promise.turn for _, promise in promises),
            masks=tuple(map(torch.from_numpy, masks.values())),
            with_mask=tuple(masks),
            boxes=torch.from_numpy(np.stack(list(boxes.values()))) if boxes else torch.zeros(0, 4, dtype=torch.float64),
            with_box=tuple(boxes),
            ignoring=any(bool((mask == IGNORED).any()) for mask in masks.values()),
            words=tuple(promise.words for _, promise in promises),
        )


def stand(states: Sequence[tuple[int, int]], frames: Sequence[int], sizes: Sequence[tuple[int, int]]) -> Promised:
    """Promises of one answer a row, without targets: (row, column) of each state, its frame, the original's (H, W)."""
    owners = sorted(set(frames))
    slots = [list(frames[:n]).count(frame) for n, frame in enumerate(frames)]
    return Promised(
        rows=numbers(row for row, _ in states),
        columns=numbers(column for _, column in states),
        turns=numbers(0 for _ in states),
        owners=tuple(owners),
        pictures=numbers(owners.index(frame) for frame in frames),
        slots=numbers(slots),
        depth=max(slots, default=0) + 1,
        sizes=tuple(sizes),
    )


def numbers(values: Iterable[int]) -> Tensor:
    """An int64 vector."""
    return torch.tensor(list(values), dtype=torch.long)


def gather(
    kind: str,
    rows: Sequence[Example],
    offsets: Sequence[int],
    together: Callable[[Sequence[Arrays]], dict[str, Tensor]],
) -> Media | None:
    """All media of one kind, or None; `together` puts what the backbone sees of them side by side."""
    media = [(i, medium) for i, row in enumerate(rows) for medium in row.media if medium.kind == kind]
    if not media:
        return None
    return Media(
        tensors=together([medium.arrays for _, medium in media]),
        rows=numbers(i for i, _ in media),
        columns=numbers(medium.column + offsets[i] for i, medium in media),
        keys=tuple(medium.key for _, medium in media),
    )


def counts(promised: Mapping[str, Promised]) -> dict[str, int]:
    """How many masks, boxes, keywords and named masks a batch compares: the denominators of their losses.

    Of a token that is none of ours, "[TOKEN].mask", "[TOKEN].box" and "[TOKEN].words".
    """
    mask, box, key = (promised.get(token) for token in (SEG, LOC, KEY))
    ours = {
        "mask": len(mask.masks) if mask else 0,
        "box": len(box.boxes) if box else 0,
        "keyword": sum(map(bool, key.words)) if key else 0,
        "named": sum(map(bool, mask.words)) if mask else 0,
    }
    others = {token: promises for token, promises in promised.items() if token not in (SEG, LOC, KEY)}
    return (
        ours
        | {f"{token}.mask": len(promises.masks) for token, promises in others.items()}
        | {f"{token}.box": len(promises.boxes) for token, promises in others.items()}
        | {f"{token}.words": sum(map(bool, promises.words)) for token, promises in others.items()}
    )
