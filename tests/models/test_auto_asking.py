"""`model.ask`: questions, pictures of every kind, conversations, and options that hold for one call."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ullava.configs.schema import GenerationConfig
from ullava.models.answering import open_answerer
from ullava.models.asking import Reply, open_dialogue

QUESTION = "Can you segment the red circle?"


@pytest.fixture(scope="module")
def suppress(model):
    """Ids of all tokens but the given ones: what `generate` has to suppress, so that nothing else is said."""

    def others(*tokens: str) -> list[int]:
        tokenizer = model.answerer.processor.tokenizer
        return sorted(set(range(len(tokenizer))) - set(tokenizer.convert_tokens_to_ids(list(tokens))))

    return others


@pytest.fixture(scope="module")
def segment(model, suppress):
    """Asks with an answer of three [SEG] and [LOC]."""
    return lambda *asked, **options: model.ask(
        *asked, max_new_tokens=3, suppress_tokens=suppress("[SEG]", "[LOC]"), **options
    )


def same(first: Reply, second: Reply) -> bool:
    """Whether two replies agree in every word, mask and box."""
    masks = [np.array_equal(a, b) for a, b in zip(first.masks, second.masks, strict=True)]
    return first.text == second.text and all(masks) and first.boxes == second.boxes


def test_asking_is_what_inference_does(model, run_folder, world, suppress):
    options = {"suppress_tokens": suppress("[SEG]", "[LOC]")}
    reply = model.ask(QUESTION, world.folder / "0.png", max_new_tokens=6, **options)
    question = world.dialogue("ask", [0], (QUESTION, ""))
    (answer,) = open_answerer(str(run_folder), GenerationConfig(max_new_tokens=6, options=options))([question])
    assert reply.text == answer.text
    assert len(reply.masks) == reply.text.count("[SEG]") and len(reply.boxes) == reply.text.count("[LOC]")
    assert len(reply.masks) + len(reply.boxes) == 6
    assert list(reply.boxes) == list(answer.predictions["box"])
    for mask, expected in zip(reply.masks, answer.predictions["mask"], strict=True):
        assert mask.shape == (60, 80)
        np.testing.assert_array_equal(mask, np.asarray(expected) > 0.5)


def test_confidences_are_the_heads(model, run_folder, world, suppress):
    options = {"suppress_tokens": suppress("[SEG]")}
    reply = model.ask(QUESTION, world.folder / "0.png", max_new_tokens=2, **options)
    question = world.dialogue("ask", [0], (QUESTION, ""))
    (answer,) = open_answerer(str(run_folder), GenerationConfig(max_new_tokens=2, options=options))([question])
    assert reply.expected_ious == tuple(answer.scores["mask"]) and len(reply.expected_ious) == 2
    soft = [np.asarray(mask) for mask in answer.predictions["mask"]]
    assert list(reply.confidences) == [float(mask[mask > 0.5].mean()) if (mask > 0.5).any() else None for mask in soft]


def test_an_empty_mask_has_no_confidence():
    from ullava.datasets.structures import Answer
    from ullava.models.asking import reply

    soft = (np.array([[0.1, 0.9], [0.7, 0.2]], np.float32), np.full((2, 2), 0.3, np.float32))
    got = reply(open_dialogue("Where?", None, ()), Answer("[SEG] [SEG]", {"mask": soft}, {"mask": (0.5, 0.25)}))
    assert got.confidences == (pytest.approx(0.8), None)  # the mean of 0.9 and 0.7
    assert got.expected_ious == (0.5, 0.25) and not got.masks[1].any()


def test_options_of_generate_are_obeyed(model, world, suppress):
    asked = ("Where is it?", world.folder / "0.png")
    assert model.ask(*asked, max_new_tokens=3, suppress_tokens=suppress("[SEG]")).text == "[SEG] [SEG] [SEG]"
    drawn = [model.ask(*asked, max_new_tokens=8, do_sample=True, temperature=5.0, seed=n).text for n in range(4)]
    assert len(set(drawn)) > 1
    with pytest.raises(ValueError, match="generation.options: expected one answer a question, found 2 for 1"):
        model.ask(*asked, max_new_tokens=4, num_beams=2, num_return_sequences=2)


def test_options_of_one_call_never_stick_to_the_next(model, world, suppress):
    asked = ("Where is it?", world.folder / "0.png")
    before = model.ask(*asked, max_new_tokens=6)
    model.ask(*asked, max_new_tokens=2, temperature=5.0, seed=7, suppress_tokens=suppress("[SEG]"))
    with pytest.raises(ValueError):
        model.ask(*asked, max_new_tokens=4, num_beams=2, num_return_sequences=2)
    assert same(model.ask(*asked, max_new_tokens=6), before)
    assert model.answerer.generation == GenerationConfig()


@pytest.mark.parametrize("key", ["precision", "workers"])
def test_what_is_the_folders_is_no_option_of_a_question(model, key):
    with pytest.raises(ValueError, match=f"ask: {key} is not an option of a question; give it to from_pretrained"):
        model.ask("What?", **{key: 1})


def test_a_wrong_option_names_itself(model):
    with pytest.raises(ValueError, match="ask: max_new_tokens: .*greater than or equal to 1, found 0"):
        model.ask("What?", max_new_tokens=0)


@pytest.fixture(scope="module")
def pixels(world):
    """(60, 80, 3) uint8: the first picture of the world."""
    return np.asarray(Image.open(world.folder / "0.png").convert("RGB"))


@pytest.mark.parametrize(
    "convert",
    [
        str,
        Path,
        Image.open,
        lambda path: Image.open(path).convert("RGBA"),
        lambda path: np.asarray(Image.open(path)),
        lambda path: np.asarray(Image.open(path).convert("RGBA")),
        lambda path: np.asarray(Image.open(path)) / 255,
        lambda path: np.asarray(Image.open(path))[::-1][::-1],
        lambda path: torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1),
        lambda path: torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float().div(255).requires_grad_(),
    ],
    ids=["str", "Path", "PIL", "PIL RGBA", "uint8", "uint8 RGBA", "float64", "strided", "tensor", "float tensor"],
)
def test_every_kind_of_picture_gives_the_same_answer(segment, world, convert):
    expected = segment(QUESTION, world.folder / "0.png")
    assert expected.masks or expected.boxes
    assert same(segment(QUESTION, convert(world.folder / "0.png")), expected)


def test_another_picture_gives_another_answer(model, world):
    replies = [model.ask("What is here?", world.folder / f"{n}.png", max_new_tokens=8).text for n in range(3)]
    arrays = [np.asarray(Image.open(world.folder / f"{n}.png")) for n in range(3)]
    assert [model.ask("What is here?", array, max_new_tokens=8).text for array in arrays] == replies
    assert len(set(replies)) > 1


def test_many_questions_are_answered_as_one_by_one(segment, world):
    questions, pictures = [QUESTION, "Where is it?", "What is here?"], [world.folder / f"{n}.png" for n in range(3)]
    replies = segment(questions, pictures, batch_size=2)
    assert isinstance(replies, list) and len(replies) == 3
    assert all(
        same(got, segment(*asked)) for got, asked in zip(replies, zip(questions, pictures, strict=True), strict=True)
    )
    assert [mask.shape for mask in replies[1].masks] == [(72, 48)] * len(replies[1].masks)


def test_one_picture_serves_all_questions(segment, world):
    questions = [QUESTION, "Where is it?"]
    replies = segment(questions, str(world.folder / "1.png"))
    assert all(
        same(got, segment(question, world.folder / "1.png")) for got, question in zip(replies, questions, strict=True)
    )


def test_words_alone_need_no_picture(model):
    assert model.ask("What is here?", max_new_tokens=4).masks == ()
    assert [reply.boxes for reply in model.ask(["What is here?", "Where is it?"], max_new_tokens=4)] == [(), ()]


def test_a_question_may_be_about_several_pictures(segment, world):
    both = [world.folder / "0.png", world.folder / "1.png"]
    reply = segment("What is here?", both)
    assert all(mask.shape == (72, 48) for mask in reply.masks)  # the last one's
    marked = segment("Is <image> the same as <image>?", both)
    assert marked.turns[-1][0] == "Is <image> the same as <image>?"
    with pytest.raises(ValueError, match="the questions hold 1 marks .* and are about 2 pictures"):
        segment("What is <image>?", both)


def test_a_conversation_goes_on_from_pairs_or_from_a_reply(segment, world):
    first = segment(QUESTION, world.folder / "0.png")
    assert first.turns == ((QUESTION, first.text),)
    second = segment("Where is it?", world.folder / "0.png", turns=first)
    assert second.turns == (*first.turns, ("Where is it?", second.text))
    assert same(segment("Where is it?", world.folder / "0.png", turns=[(QUESTION, first.text)]), second)
    many = segment(["Where is it?", "What is here?"], world.folder / "0.png", turns=[first, ()])
    assert same(many[0], second) and many[1].turns[:-1] == ()


def test_a_conversation_is_read(model, world):
    alone = model.ask("Where is it?", world.folder / "0.png", max_new_tokens=8)
    behind = model.ask(
        "Where is it?", world.folder / "0.png", max_new_tokens=8, turns=[("What is here?", "Nothing else.")]
    )
    assert alone.text != behind.text


@pytest.mark.parametrize(
    ("what", "given"), [("pictures", {"picture": ["a.png"] * 3}), ("turns", {"turns": [[("a", "b")]] * 3})]
)
def test_another_number_than_of_questions_is_refused(model, what, given):
    with pytest.raises(ValueError, match=f"expected {what} for 2 questions, found 3"):
        model.ask(["What?", "Where?"], **given)


def test_a_question_is_text(model):
    with pytest.raises(TypeError, match="expected a question as text, found a int"):
        model.ask([1])
