"""Rows: what is supervised, where promises point, what is cut, what is refused.

The tiny tower gives 16 patches a picture; words of `TEXTS` in conftest are single tokens.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.shared import SHARED
from ullava.datasets import videos
from ullava.datasets.masks import IGNORED, RunLengths, encode
from ullava.datasets.mirror import mirror
from ullava.datasets.readers.texts.llava_chat import LlavaChat
from ullava.datasets.structures import Dialogue, Promise, Sample, Turn, Video
from ullava.models.batching.processor import Processor
from ullava.models.text.conversation import conversation

PATCHES = 16


@pytest.fixture
def processor(still) -> Processor:
    return still.processor


@pytest.fixture
def changed(processor):
    """The same processor with other settings."""

    def make(**settings) -> Processor:
        kept = {name: getattr(processor, name) for name in ("layout", "mask_view", "max_length")}
        how = settings.pop("conversation", processor.conversation)
        return Processor(processor.tokenizer, how, **kept | settings)

    return make


@pytest.fixture
def filmed(monkeypatch) -> Video:
    """A video of which every frame reads as grey."""
    monkeypatch.setattr(videos, "read_frames", lambda video, count, **_: np.full((count, 30, 40, 3), 128, np.uint8))
    return Video("film.mp4")


def supervised(processor: Processor, row) -> str:
    return processor.tokenizer.decode(row.input_ids[row.supervised])


def tokens_at(processor: Processor, row) -> list[str]:
    return [processor.tokenizer.convert_ids_to_tokens(int(row.input_ids[p.column])) for p in row.promises]


def test_only_answers_are_supervised(world, processor):
    dialogue = world.dialogue("two", [0], ("What is here?", "A red circle."), ("Where is it?", "Nothing else."))
    assert supervised(processor, processor(dialogue)) == " A red circle.</s> Nothing else.</s>"


def test_simple_ends_its_answers_with_its_own_mark(world, changed):
    processor = changed(conversation=conversation("simple"))
    assert supervised(processor, processor(world.chat())) == " Nothing else.\n###"


def test_a_row_begins_as_the_tokenizer_says(processor, world):
    ids = processor(world.chat()).input_ids
    assert ids.tolist() == processor.tokenizer(processor.conversation.write(world.chat().turns).text)["input_ids"]


def test_promises_point_at_their_tokens(world, processor):
    regions = (world.region(0), world.region(0, (1, 2, 3, 4)), world.region(0, (5, 5, 9, 9)))
    dialogue = world.dialogue(
        "three", [0], ("Where is it?", "[LOC], [SEG]."), ("What is here?", "Sure. [SEG]!"), regions=regions
    )
    row = processor(dialogue)
    assert tokens_at(processor, row) == ["[LOC]", "[SEG]", "[SEG]"]
    assert [p.token for p in row.promises] == ["[LOC]", "[SEG]", "[SEG]"]
    assert all(np.array_equal(p.mask, r.mask.draw()) for p, r in zip(row.promises, regions, strict=True))


def test_tokens_typed_by_a_user_own_nothing(world, processor):
    region = world.region()
    dialogue = world.dialogue("typed", [0], ("What is [SEG] [LOC]?", "Sure: [SEG]."), regions=(region,))
    row = processor(dialogue)
    (promise,) = row.promises
    at = np.flatnonzero(row.input_ids == processor.tokenizer.convert_tokens_to_ids("[SEG]"))
    assert len(at) == 2  # the user's is the same token
    assert promise.column == at[1]


def test_a_picture_stands_before_the_question_as_many_patches(world, processor):
    row = processor(world.segment(1))
    text = processor.tokenizer.decode(row.input_ids)
    assert f"USER: <img_beg>{'<image_patch>' * PATCHES}</img_end>\nCan you" in text
    (medium,) = row.media
    patch = processor.tokenizer.convert_tokens_to_ids("<image_patch>")
    assert np.flatnonzero(row.input_ids == patch).tolist() == list(range(medium.column, medium.column + PATCHES))
    assert (medium.pixels.shape, medium.frame.shape, medium.size) == ((96, 96, 3), (96, 96, 3), (72, 48))


def test_two_pictures_stand_one_after_the_other(world, processor):
    row = processor(world.dialogue("pair", [0, 2], ("What is here?", "Nothing else.")))
    first, second = (medium.column for medium in row.media)
    assert second - first == PATCHES + 3  # </img_end>, a line's end, <img_beg>
    assert [medium.size for medium in row.media] == [(60, 80), (50, 50)]


def marked(world, *turns, regions=()):
    """A dialogue about pictures 0, 1, 2; turns are (question, answer, media)."""
    whole = world.dialogue("marked", [0, 1, 2], *[turn[:2] for turn in turns], regions=regions)
    turns = tuple(replace(turn, media=media) for turn, (_, _, media) in zip(whole.turns, turns, strict=True))
    return replace(whole, turns=turns)


def shown(processor, row) -> str:
    """The row's text, its pictures by their sizes."""
    text = processor.tokenizer.decode(row.input_ids)
    for height, width in (medium.size for medium in row.media):
        text = text.replace(f"<img_beg>{'<image_patch>' * PATCHES}</img_end>", f"({height}x{width})", 1)
    return text


def test_pictures_stand_where_the_questions_mark_them(world, processor):
    row = processor(marked(world, ("<image>Where?", "It.", (0,)), ("Is <image> it\n<image>", "It.", (2, 1))))
    assert shown(processor, row).endswith(
        "USER: (60x80)Where? ASSISTANT: It.</s>USER: Is (50x50) it\n(72x48) ASSISTANT: It.</s>"
    )
    patch = processor.tokenizer.convert_tokens_to_ids("<image_patch>")
    columns = [column for medium in row.media for column in range(medium.column, medium.column + PATCHES)]
    assert np.flatnonzero(row.input_ids == patch).tolist() == columns


def test_promises_find_their_picture_whatever_the_order(world, processor):
    regions = (world.region(1, place=1), world.region(2, place=2), world.region(0, place=0))
    turns = (("<image><image> Where?", "[SEG].", (2, 1)), ("And <image>", "[SEG] [SEG]", (0,)))
    row = processor(marked(world, *turns, regions=regions))
    assert [medium.size for medium in row.media] == [(50, 50), (72, 48), (60, 80)]
    assert [promise.mask.shape for promise in row.promises] == [(72, 48), (50, 50), (60, 80)]
    assert [row.media[promise.picture].size for promise in row.promises] == [(72, 48), (50, 50), (60, 80)]


def test_only_promised_pictures_have_a_frame(world, processor):
    dialogue = world.dialogue("pair", [0, 2], ("Where is it?", "[SEG]."), regions=(world.region(0),))
    assert [medium.frame is None for medium in processor(dialogue).media] == [False, True]
    opened = processor(dialogue, answered=False)  # the model speaks of the last picture shown before it speaks
    assert [medium.frame is None for medium in opened.media] == [True, False] and opened.about == 1


def test_marks_of_turns_that_are_cut_show_nothing(world, changed):
    dialogue = marked(world, ("<image>Where?", "It.", (0,)), ("<image><image>Where?", "It.", (1, 2)))
    processor = changed(max_length=len(changed()(dialogue).input_ids) - 1)
    row = processor(dialogue)
    assert [medium.size for medium in row.media] == [(60, 80)]
    assert shown(processor, row).endswith("USER: (60x80)Where? ASSISTANT: It.</s>")


def test_what_the_sample_shows_elsewhere_is_not_shown(world, processor):
    whole = marked(world, ("<image>Where?", "It.", (0,)), ("<image> or <image>?", "It.", (1, 2)))
    sample = replace(whole.sample, turns=whole.turns)
    part = replace(whole, sample=sample, turns=whole.turns[:1])
    assert [medium.size for medium in processor(part).media] == [(60, 80)]
    plain = replace(whole, sample=sample, turns=(Turn("Where is it?", "It."),))  # a task's own question, without marks
    assert [medium.size for medium in processor(plain).media] == [(60, 80), (72, 48), (50, 50)]


def test_a_promise_of_what_is_not_shown_is_refused(world, processor):
    whole = marked(world, ("<image>Where?", "[SEG].", (0,)), regions=(world.region(1, place=1),))
    sample = replace(whole.sample, turns=(Turn("<image><image><image>", "", media=(0, 1, 2)),))
    with pytest.raises(ValueError, match=r"toy/marked: \[SEG\] is promised of medium 1, which is not shown"):
        processor(replace(whole, sample=sample))


def test_marks_that_a_task_has_changed_are_refused(world, processor):
    with pytest.raises(ValueError, match=r"toy/marked: turn 0: the question holds <image>, its media \(0, 1\)"):
        processor(marked(world, ("<image>Where?", "It.", (0, 1))))


def test_a_mark_without_media_is_text(world, processor):
    row = processor(world.dialogue("html", [], ("What is <image> here?", "Nothing else.")))
    assert "USER: What is <image> here? ASSISTANT:" in processor.tokenizer.decode(row.input_ids)
    assert row.about is None


def test_pictures_and_a_video_mix(world, filmed, processor):
    media = (world.picture(0), filmed, world.picture(1))
    turns = (Turn("<image>What is <video> here?", "It.", media=(0, 1)), Turn("<image>", "[SEG]", media=(2,)))
    sample = Sample("toy/mix", media)
    promise = Promise("[SEG]", world.region(1, place=2), 1)
    row = processor(Dialogue("toy/mix", sample, turns, (promise,)))
    assert [(medium.kind, medium.size) for medium in row.media] == [
        ("<image>", (60, 80)), ("<video>", (30, 40)), ("<image>", (72, 48))
    ]  # fmt: skip
    for medium in row.media:
        name = {"<image>": "<image_patch>", "<video>": "<video_patch>"}[medium.kind]
        patch = processor.tokenizer.convert_tokens_to_ids(name)
        width = PATCHES + (8 if medium.kind == "<video>" else 0)
        assert (row.input_ids[medium.column : medium.column + width] == patch).all()
        assert patch not in row.input_ids[[medium.column - 1, medium.column + width]]
    loose = processor(Dialogue("toy/mix", sample, (Turn("What is here?", "It."),)))
    assert [medium.kind for medium in loose.media] == ["<image>", "<image>", "<video>"]  # in front, and behind
    assert loose.about == 1


def test_plain_writes_the_picture_and_its_caption_only(world, changed):
    processor = changed(conversation=conversation("plain"))
    row = processor(world.dialogue("caption", [0], ("Describe the picture.", "A red circle.")))
    assert shown(processor, row) == "(60x80)A red circle.\n"
    assert supervised(processor, row) == "A red circle.\n"
    opened = processor(world.dialogue("caption", [0], ("Describe the picture.", "")), answered=False)
    assert opened.input_ids.tolist() == row.input_ids[: len(opened.input_ids)].tolist()


def test_a_video_stands_behind_the_question(filmed, processor):
    dialogue = Dialogue("toy/film", Sample("toy/film", (filmed,)), (Turn("What is here?", "A red circle."),))
    row = processor(dialogue)
    patches = "<video_patch>" * (8 + PATCHES)  # 8 frames' means, then the patches' means
    assert f"USER: What is here?<vid_beg>{patches}</vid_end> ASSISTANT:" in processor.tokenizer.decode(row.input_ids)
    assert row.media[0].pixels.shape == (8, 96, 96, 3)


def test_frames_are_drawn_only_where_a_mask_is_promised_or_may_be(world, processor):
    boxed = world.dialogue("boxed", [0], ("Where is it?", "[LOC]."), regions=(world.region(),))
    assert processor(boxed).media[0].frame is None
    assert processor(boxed, answered=False).media[0].frame is not None


def test_an_open_row_ends_where_the_answer_begins(world, processor):
    row = processor(world.segment(), answered=False)
    assert processor.tokenizer.decode(row.input_ids).endswith("Can you segment the red circle? ASSISTANT:")
    assert row.promises == ()
    assert not row.supervised.any()


def test_whole_turns_are_cut_with_their_promises(world, changed):
    ask, say = "Where is it?", "Sure. [SEG]."
    regions = [world.region(0, (n, n, 9, 9)) for n in range(4)]
    whole = world.dialogue("long", [0], *[(ask, say)] * 4, regions=regions)
    lengths = [len(changed()(cut(whole, turns)).input_ids) for turns in (1, 2, 3)]
    processor = changed(max_length=lengths[2] - 1)  # one token short of three turns
    row = processor(whole)
    assert len(row.input_ids) == lengths[1]
    assert tokens_at(processor, row) == ["[SEG]", "[SEG]"]
    assert [p.box[0] for p in row.promises] == [changed()(whole).promises[n].box[0] for n in (0, 1)]


def cut(dialogue: Dialogue, turns: int) -> Dialogue:
    kept = tuple(promise for promise in dialogue.promises if promise.turn < turns)
    return replace(dialogue, turns=dialogue.turns[:turns], promises=kept)


def test_a_row_of_exactly_max_length_is_whole(world, changed):
    length = len(changed()(world.segment()).input_ids)
    assert len(changed(max_length=length)(world.segment()).input_ids) == length


def test_a_turn_too_long_for_its_promises_is_refused(world, changed):
    with pytest.raises(ValueError, match=r"toy/segment0: one turn with 2 promises is \d+ tokens longer than max"):
        changed(max_length=20)(world.segment())


def test_a_long_answer_without_promises_ends_early(world, changed):
    length = len(changed()(world.chat()).input_ids)
    processor = changed(max_length=length - 2)
    assert supervised(processor, processor(world.chat())) == " Nothing else"  # without `.` and `</s>`


def test_a_question_longer_than_max_length_is_refused(world, changed):
    with pytest.raises(ValueError, match="toy/chat: one turn with 0 promises"):
        changed(max_length=16)(world.chat())


@pytest.mark.parametrize("text", ["What is <image_patch>?", "<video_patch>"])
def test_patch_tokens_in_a_text_are_refused(world, processor, text):
    with pytest.raises(ValueError, match=r"toy/bad: <\w+_patch> stands \d times .* the processor writes it"):
        processor(world.dialogue("bad", [0], (text, "Nothing.")))


def test_a_mask_of_another_size_than_its_picture_is_refused(world, processor):
    region = world.region(0, mask=RunLengths((10, 10), (50, 50)))
    dialogue = world.dialogue("odd", [0], ("Where is it?", "[SEG]."), regions=(region,))
    with pytest.raises(ValueError, match=r"toy/odd: the mask is 10 x 10 \(H x W\), its picture 60 x 80"):
        processor(dialogue)


def test_pixels_that_belong_to_nothing_are_marked_in_every_target(world, processor):
    dialogue = world.segment()
    ignored = np.zeros(dialogue.promises[0].region.mask.size, bool)
    ignored[:2] = True
    mask = RunLengths(ignored.shape, encode(ignored)["counts"])
    row = processor(replace(dialogue, sample=replace(dialogue.sample, ignored=mask)))
    plain, marked = processor(dialogue).promises[0].mask, row.promises[0].mask
    assert (marked[:2] == IGNORED).all() and (marked[2:] == plain[2:]).all()


def test_words_of_a_promise_become_ids(world, processor):
    dialogue = world.segment()
    promises = tuple(replace(promise, words=("red circle", "circle")) for promise in dialogue.promises)
    words = processor(replace(dialogue, promises=promises)).promises[0].words
    assert [processor.tokenizer.decode(ids).strip() for ids in words] == ["red circle", "circle"]


def test_a_checkpoint_may_spell_tokens_otherwise(fresh, world):
    processor = fresh(tokens={"SEG": "<ins>"}).processor
    row = processor(world.segment())
    assert tokens_at(processor, row) == ["<ins>", "[LOC]"]
    assert [promise.token for promise in row.promises] == ["[SEG]", "[LOC]"]  # to heads it keeps our name
    assert "[SEG]" not in processor.tokenizer.get_vocab()
    assert processor.unspell("Mask: <ins>.") == "Mask: [SEG]."


def test_a_box_is_a_fraction_of_the_picture(world, processor):
    # Of 60 x 80 pixels (H x W), whatever square it lies in.
    row = processor(world.segment(0, (20, 10, 50, 30)))
    for promise in row.promises:
        assert promise.box.tolist() == [20 / 80, 10 / 60, 50 / 80, 30 / 60]


def test_a_region_without_mask_or_box_has_no_target(world, processor):
    dialogue = world.dialogue("bare", [0], ("Where is it?", "[LOC]."), regions=(world.region(mask=None),))
    (promise,) = processor(dialogue).promises
    assert promise.mask is None
    assert promise.box is None


def test_a_slow_tokenizer_is_refused(processor):
    class Slow:
        is_fast, name_or_path = False, "old"

    with pytest.raises(ValueError, match=re.escape("old: expected a fast tokenizer")):
        Processor(Slow(), processor.conversation, layout=processor.layout)


@pytest.mark.shared
def test_a_published_chat_shows_each_picture_in_its_turn(changed):
    folder = SHARED / "realdata"
    file = next(iter(sorted(folder.glob("sharegpt*/*.json"))), None)
    if file is None:
        pytest.skip("no published chats here")
    processor, several = changed(max_length=4096), 0
    for sample in LlavaChat("chat", file, file.parent):
        dialogue = Dialogue(sample.id, sample, sample.turns)
        row = processor(dialogue)
        assert len(row.media) == len(sample.media)
        assert int(np.isin(row.input_ids, list(processor.patch_ids.values())).sum()) == PATCHES * len(row.media)
        several += len(row.media) > 1
    assert several


def test_a_mirrored_picture_has_its_own_pixels_and_name(world, processor):
    dialogue = world.segment()
    row, seen = processor(dialogue), processor(replace(dialogue, sample=mirror(dialogue.sample)))
    assert (seen.media[0].pixels == row.media[0].pixels[:, ::-1]).all()
    assert seen.media[0].key != row.media[0].key  # features are kept under it
