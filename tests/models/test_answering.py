"""Answers: said by a network that was taught three of them, and read again by the training code."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import OWNER_PATTERN, Promise, Region, Turn
from ullava.models.answering import Answerer, open_answerer
from ullava.models.assembly import assemble
from ullava.models.folders.checkpoints import save
from ullava.models.stages import prepare

GREEDY = GenerationConfig(max_new_tokens=24)


@pytest.fixture(scope="session")
def lessons(world):
    """Three questions of different lengths; the second one is answered by two masks."""
    pair = (world.region(1), world.region(1, (5, 5, 40, 60)))
    return [
        world.segment(0),
        world.dialogue("both", [1], ("Where is it?", "[SEG], [SEG]."), regions=pair),
        world.dialogue("third", [2], ("What is here? Describe the picture.", "Nothing else.")),
    ]


@pytest.fixture(scope="session")
def taught(recipe, collate, lessons):
    """A network that knows the lessons by heart."""
    assembled = assemble(recipe(lora={"rank": 4, "dropout": 0.0}))
    groups, _ = prepare(assembled.model, dict.fromkeys(("lora", "embeddings", "lm_head", "projector"), 1e-2))
    optimizer, batch = torch.optim.AdamW(groups), collate([assembled.processor(lesson) for lesson in lessons])
    for _ in range(40):
        assembled.model(batch).parts["lm"].backward()
        optimizer.step()
        optimizer.zero_grad()
    return assembled


@pytest.fixture(scope="session")
def answerer(taught) -> Answerer:
    return Answerer(taught, GREEDY)


def asked(dialogue):
    """A lesson without its answer."""
    return replace(dialogue, turns=(replace(dialogue.turns[0], answer=""),), promises=())


def given(dialogue, answer: str):
    """A lesson with an answer of which no target is known."""
    promises = tuple(Promise(match.group(), Region(), 0) for match in OWNER_PATTERN.finditer(answer))
    return replace(dialogue, turns=(replace(dialogue.turns[0], answer=answer),), promises=promises)


def assert_equal(found, expected, tolerance: float = 1e-5) -> None:
    """Compares two answers."""
    assert found.text == expected.text
    counts = [{name: len(p) for name, p in answer.predictions.items()} for answer in (found, expected)]
    assert counts[0] == counts[1]
    for name, predictions in expected.predictions.items():
        scale = 100 if name == "box" else 1  # boxes are in pixels
        for mine, yours in zip(found.predictions[name], predictions, strict=True):
            np.testing.assert_allclose(mine, yours, atol=tolerance * scale)


@pytest.fixture(scope="session")
def said(answerer, lessons):
    return answerer([asked(lesson) for lesson in lessons])


def test_answers_are_texts_without_ends_and_padding(said, lessons):
    assert [answer.text for answer in said] == [lesson.turns[0].answer for lesson in lessons]


def test_each_owner_token_has_its_prediction(said):
    assert [[mask.shape for mask in answer.predictions["mask"]] for answer in said] == [[(60, 80)], [(72, 48)] * 2, []]
    assert [len(answer.predictions["box"]) for answer in said] == [1, 0, 0]
    first, second = said[1].predictions["mask"]
    assert np.abs(first - second).max() > 1e-4  # two masks, not one twice


def test_masks_come_with_the_iou_that_their_decoder_expects(said):
    for answer in said:
        assert len(answer.scores["mask"]) == len(answer.predictions["mask"]) and answer.scores["box"] == ()
        assert all(0 <= score <= 1 for score in answer.scores["mask"])


def test_a_generated_answer_reads_as_a_given_one(said, answerer, lessons):
    again = answerer([given(lesson, answer.text) for lesson, answer in zip(lessons, said, strict=True)], given=True)
    for one, other in zip(said, again, strict=True):
        assert_equal(other, one)


@pytest.mark.parametrize("reads", [True, False])
def test_a_batch_answers_as_each_alone(answerer, lessons, reads):
    dialogues = lessons if reads else [asked(lesson) for lesson in lessons]
    together = answerer(dialogues, given=reads)
    for dialogue, answer in zip(dialogues, together, strict=True):
        assert_equal(answerer([dialogue], given=reads)[0], answer)


def test_order_is_kept(answerer, said, lessons):
    backwards = answerer([asked(lesson) for lesson in reversed(lessons)])
    for one, other in zip(reversed(said), backwards, strict=True):
        assert_equal(other, one)


def test_beams_are_read_as_their_text_is(taught, lessons):
    answerer = Answerer(taught, GREEDY.model_copy(update={"num_beams": 2}))
    said = answerer([asked(lesson) for lesson in lessons])
    assert [answer.text for answer in said] == [lesson.turns[0].answer for lesson in lessons]
    again = answerer([given(lesson, answer.text) for lesson, answer in zip(lessons, said, strict=True)], given=True)
    for one, other in zip(said, again, strict=True):
        assert_equal(other, one)


def test_a_token_speaks_of_the_last_picture_shown(answerer, world, monkeypatch):
    """Two pictures in turns: what is said to the second question is about the second."""
    tokenizer = answerer.processor.tokenizer
    ids = torch.tensor([tokenizer(" [SEG] [LOC]</s>")["input_ids"]])
    generate = answerer.generate
    monkeypatch.setattr(answerer, "generate", lambda prompt: replace(generate(prompt), ids=ids, cache=None))
    region = world.region(1, place=1)
    turns = (
        Turn("<image>What is here?", "It.", media=(0,)),
        Turn("Where is it in <image>?", "[SEG] [LOC]", media=(1,)),
    )
    pair = world.dialogue("pair", [0, 1], ("", "It."), ("", "[SEG] [LOC]"), regions=(region, region))
    pair = replace(pair, turns=turns)
    (said,) = answerer([replace(pair, turns=(turns[0], replace(turns[1], answer="")), promises=())])
    (read,) = answerer([pair], given=True)
    assert said.predictions["mask"][0].shape == (72, 48)
    assert_equal(replace(said, text=read.text), read)


def test_plain_captions_end_with_their_line(recipe, world):
    answerer = Answerer(assemble(recipe(conversation="plain")), GREEDY)
    tokenizer = answerer.processor.tokenizer
    assert answerer.stop_ids == sorted(tokenizer.convert_tokens_to_ids(["</s>", "\u010a"]))  # a line's end, byte-level
    assert answerer.text(tokenizer("Nothing else.\nWhere is it?")["input_ids"]) == "Nothing else."
    assert isinstance(answerer([asked(world.segment())])[0].text, str)


def test_an_answer_that_never_ends_is_read_to_its_last_token(taught, lessons):
    answerer = Answerer(taught, GREEDY.model_copy(update={"max_new_tokens": 4}))  # ` Sure . Mask :` and no more
    (answer,) = answerer([asked(lessons[0])])
    assert answer.text == "Sure. Mask:"
    assert answer.predictions == {"mask": (), "box": ()}


def test_text_only_is_answered(answerer, world):
    (answer,) = answerer([asked(world.chat())])
    assert isinstance(answer.text, str)
    assert answer.predictions == {"mask": (), "box": ()}


def test_what_is_said_behind_the_end_is_not_an_answer(answerer):
    tokenizer = answerer.processor.tokenizer
    ids = tokenizer(" Sure [SEG].</s> Mask: [SEG]")["input_ids"]
    assert answerer.text(ids) == "Sure [SEG]."
    assert answerer.find_tokens(ids, "[SEG]") == [ids.index(tokenizer.convert_tokens_to_ids("[SEG]"))]


def test_a_conversation_may_end_with_marks_that_are_no_token(recipe, world):
    """`###` is spelt by several tokens here, so that generation watches the text instead."""
    assembled = assemble(recipe(conversation="simple"))
    answerer = Answerer(assembled, GREEDY)
    assert answerer.stop_strings == ["###"]
    ids = assembled.processor.tokenizer(" Sure.\n###Human: Where is it?")["input_ids"]
    assert answerer.text(ids) == "Sure."
    assert isinstance(answerer([asked(world.segment())])[0].text, str)


def test_boxes_need_no_mask_head(recipe, world, monkeypatch):
    """A model that says [LOC] about a picture of which no other head asks."""
    assembled = assemble(recipe(heads={"box": {"channels": 16}}))
    answerer = Answerer(assembled, GREEDY)
    ids = torch.tensor([assembled.processor.tokenizer(" [LOC]</s>")["input_ids"]])
    generate = answerer.generate

    def say(prompt):
        return replace(generate(prompt), ids=ids, cache=None)

    monkeypatch.setattr(answerer, "generate", say)
    dialogue = world.dialogue("rec", [1], ("Where is it?", ""))
    (answer,) = answerer([dialogue])
    (read,) = answerer([given(dialogue, "[LOC]")], given=True)
    assert answer.text == "[LOC]"
    assert len(answer.predictions["box"]) == 1
    np.testing.assert_allclose(answer.predictions["box"], read.predictions["box"], atol=1e-2)


def test_a_folder_answers_as_its_model_did(taught, said, lessons, tmp_path):
    save(tmp_path, taught.model, taught.config, taught.processor.tokenizer)
    opened = open_answerer(str(tmp_path), GREEDY)
    for one, other in zip(said, opened([asked(lesson) for lesson in lessons]), strict=True):
        assert_equal(other, one)


def test_a_folder_without_a_card_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no ullava.json"):
        open_answerer(str(tmp_path), GREEDY)


def test_bfloat16_keeps_boxes_in_float32(taught, lessons, tmp_path):
    save(tmp_path, taught.model, taught.config, taught.processor.tokenizer)
    opened = open_answerer(str(tmp_path), GREEDY.model_copy(update={"precision": "bf16"}))
    assert {p.dtype for p in opened.model.heads["box"].parameters()} == {torch.float32}
    assert {p.dtype for p in opened.model.llm.parameters()} == {torch.bfloat16}
    (answer,) = opened([asked(lessons[0])])
    assert answer.text == lessons[0].turns[0].answer
    assert answer.predictions["mask"][0].dtype == np.float32
