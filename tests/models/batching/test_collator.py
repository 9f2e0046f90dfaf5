"""Rows side by side: padding, counts, and who owns what."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ullava.datasets import videos
from ullava.datasets.masks import IGNORED
from ullava.datasets.structures import Dialogue, Promise, Sample, Turn, Video
from ullava.models.batching.collator import Collator

SEG, LOC = "[SEG]", "[LOC]"


@pytest.fixture
def rows(world, still):
    """A short row of text, a row with a picture, and one with two pictures of which the second owns two masks."""
    first, second = world.region(0, place=0), [world.region(2, (n, n, 30, 30), place=1) for n in (1, 2)]
    answer = ("Where is it?", "[SEG], [LOC]; [SEG], [SEG].")
    pair = world.dialogue("pair", [0, 2], answer, regions=(second[0], first, first, second[1]))
    return [still.processor(dialogue) for dialogue in (world.chat(), world.segment(1), pair)]


@pytest.fixture(params=["right", "left"])
def batch(request, rows, still):
    return Collator(still.processor.tokenizer.pad_token_id, [SEG, LOC], left=request.param == "left")(rows)


def test_rows_stand_where_attention_reads(batch, rows, still):
    for n, row in enumerate(rows):
        kept = batch.attention_mask[n].bool()
        assert batch.input_ids[n][kept].tolist() == row.input_ids.tolist()
        assert (batch.input_ids[n][~kept] == still.processor.tokenizer.pad_token_id).all()


def test_padding_is_on_the_side_asked_for(rows):
    short, width = len(rows[0].input_ids), max(len(row.input_ids) for row in rows)
    right, left = (Collator(9, left=left)(rows).attention_mask[0].tolist() for left in (False, True))
    assert right == [1] * short + [0] * (width - short)
    assert left == right[::-1]


def test_promises_are_read_one_before_their_token(batch, still):
    for token in (SEG, LOC):
        promised = batch.promised[token]
        ids = batch.input_ids[promised.rows, promised.columns + 1]
        assert still.processor.tokenizer.convert_ids_to_tokens(ids) == [token] * len(promised)


def test_targets_are_read_one_before_what_they_are(batch, rows):
    ids = batch.input_ids[batch.target_rows, batch.target_columns + 1]
    assert ids.tolist() == batch.target_ids.tolist()
    assert ids.tolist() == [i for row in rows for i in row.input_ids[row.supervised]]


def test_promises_are_numbered_within_their_picture(batch):
    # Frames: 0 is the row's only picture, 1 and 2 are the pair's. Masks in the order of the text: frame 0; 2, 1, 2.
    promised = batch.promised[SEG]
    assert batch.frame_rows == (1, 2, 2)
    assert promised.rows.tolist() == [1, 2, 2, 2]
    assert promised.owners == (0, 1, 2)
    assert promised.pictures.tolist() == [0, 2, 1, 2]
    assert promised.slots.tolist() == [0, 0, 0, 1]
    assert promised.depth == 2
    assert promised.sizes == ((72, 48), (50, 50), (60, 80), (50, 50))


def test_patches_stand_where_media_say(batch, still):
    patch = still.processor.tokenizer.convert_tokens_to_ids("<image_patch>")
    columns = batch.pictures.columns[:, None] + torch.arange(16)
    assert batch.pictures.rows.tolist() == [1, 2, 2]
    assert (batch.input_ids[batch.pictures.rows[:, None], columns] == patch).all()
    assert int((batch.input_ids == patch).sum()) == 3 * 16


def test_a_row_may_mix_pictures_and_a_video(world, still, collate, monkeypatch):
    monkeypatch.setattr(videos, "read_frames", lambda video, count, **_: np.full((count, 30, 40, 3), 128, np.uint8))
    media = (world.picture(1), Video("film.mp4"), world.picture(0))
    turns = (Turn("<image>, <video>?", "It.", media=(0, 1)), Turn("<image>?", "[SEG]", media=(2,)))
    promise = Promise("[SEG]", world.region(0, place=2), 1)
    mixed = Dialogue("toy/mix", Sample("toy/mix", media), turns, (promise,))
    batch = collate([still.processor(world.segment(2)), still.processor(mixed)])
    assert batch.pictures.rows.tolist() == [0, 1, 1] and batch.videos.rows.tolist() == [1]
    for found, token, width in ((batch.pictures, "<image_patch>", 16), (batch.videos, "<video_patch>", 8 + 16)):
        patch = still.processor.tokenizer.convert_tokens_to_ids(token)
        columns = found.columns[:, None] + torch.arange(width)
        assert (batch.input_ids[found.rows[:, None], columns] == patch).all()
    assert batch.frame_sizes == ((50, 50), (60, 80))  # the picture that owns the mask, and no other of its row
    assert batch.promised[SEG].pictures.tolist() == [0, 1]
    assert torch.isfinite(still.model(batch).total)


def test_counts_are_what_losses_are_means_over(batch, rows):
    lm = sum(int(row.supervised.sum()) for row in rows)
    assert batch.counts == {"lm": lm, "mask": 4, "box": 2, "keyword": 0, "named": 0}


def test_promises_without_targets_are_not_counted(world, still, collate):
    bare = world.region(mask=None)
    dialogue = world.dialogue("bare", [0], ("Where is it?", "[SEG], [SEG]."), regions=(bare, world.region()))
    batch = collate([still.processor(dialogue)])
    assert len(batch.promised[SEG]) == 2
    assert batch.promised[SEG].with_mask == (1,)
    assert batch.counts["mask"] == 1


def test_text_only_has_no_pictures(world, still, collate):
    batch = collate([still.processor(world.chat())])
    assert (batch.pictures, batch.videos, batch.frames) == (None, None, None)
    assert [len(promised) for promised in batch.promised.values()] == [0, 0]


def test_rows_of_boxes_carry_no_frames(world, still, collate):
    boxed = world.dialogue("boxed", [0], ("Where is it?", "[LOC]."), regions=(world.region(),))
    batch = collate([still.processor(boxed)])
    assert batch.frames is None
    assert batch.promised[LOC].sizes == ((60, 80),)
    assert batch.counts["box"] == 1


def test_a_first_token_is_never_supervised(rows, collate):
    row = replace(rows[0], supervised=rows[0].supervised | True)  # nothing stands before it that could say it
    batch = collate([row])
    assert batch.counts["lm"] == len(row.input_ids) - 1
    assert int(batch.target_columns.min()) == 0


def test_a_batch_moves_as_one(rows, collate):
    moved = collate(rows).to("meta")
    assert moved.input_ids.device.type == moved.pictures.pixels.device.type == "meta"
    assert {tensor.device.type for tensor in moved.promised[SEG].masks} == {"meta"}
    assert moved.promised[LOC].boxes.dtype == torch.float64


def test_one_mask_with_pixels_that_do_not_count_is_enough_to_say_so(rows, still):
    collate = Collator(still.processor.tokenizer.pad_token_id, [SEG, LOC])
    assert not collate(rows).promised[SEG].ignoring
    promises = list(rows[2].promises)
    place = next(n for n, promise in enumerate(promises) if promise.token == SEG)
    mask = promises[place].mask.copy()
    mask[0, 0] = IGNORED
    promises[place] = replace(promises[place], mask=mask)
    assert collate([*rows[:2], replace(rows[2], promises=tuple(promises))]).promised[SEG].ignoring
