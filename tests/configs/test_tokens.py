"""The tokens: u-LLaVA's spelling and order, on which its checkpoints' ids rest."""

from ullava.configs import tokens


def test_stage_one_adds_u_llavas_seven_in_its_order():
    # ids 32000 to 32006 on Vicuna-7B: OPPOMKLab/u-LLaVA, models/__init__.py, and the release's mm_token_ids
    assert tokens.STAGE_ONE == (
        "[PAD]", "<image_patch>", "<video_patch>", "<img_beg>", "</img_end>", "<vid_beg>", "</vid_end>",
    )  # fmt: skip


def test_stage_two_begins_with_u_llavas_four():
    assert tokens.STAGE_TWO[:4] == ("[SEG]", "[LOC]", "[tag]", "[/tag]")


def test_owners_are_added_in_stage_two_and_no_spelling_is_used_twice():
    spellings = (*tokens.STAGE_ONE, *tokens.STAGE_TWO, tokens.IMAGE, tokens.VIDEO)
    assert len(set(spellings)) == len(spellings)
    assert set(tokens.OWNERS) < set(tokens.STAGE_TWO) and tokens.NEG not in tokens.OWNERS


def test_a_picture_and_a_video_have_patch_begin_and_end():
    for table in (tokens.PATCH, tokens.BEGIN, tokens.END):
        assert set(table) == {tokens.IMAGE, tokens.VIDEO} and set(table.values()) <= set(tokens.STAGE_ONE)
