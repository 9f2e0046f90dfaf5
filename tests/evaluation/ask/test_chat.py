"""Talking: turn by turn, and in one line."""

import json

import numpy as np
import pytest
from PIL import Image

from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Answer, Picture
from ullava.evaluation.ask import ask, chat
from ullava.evaluation.ask.chat import REMEMBERED, Conversation, converse

SAID = "Sure. Mask: [SEG]; Location: [LOC]; [tag]cat[/tag]."


class Listener:
    """Notes what it is asked; answers with a mask each time."""

    generation = GenerationConfig()

    def __init__(self):
        self.heard = []

    def __call__(self, dialogues, *, given):
        self.heard += dialogues
        return [Answer(SAID, {"mask": (np.eye(4, dtype=np.float32),), "box": ((0.0, 0.0, 4.0, 4.0),)})]


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_question_knows_what_was_said_before(photo):
    model, conversation = Listener(), Conversation(Picture(photo))
    conversation.ask("where is the cat?", model)
    conversation.ask("Ist sie müde？", model)
    first, second = model.heard
    assert [turn.question for turn in second.turns] == ["where is the cat?", "Ist sie müde？"]
    assert second.turns[0].answer == SAID and second.turns[1].answer == ""
    assert [(promise.token, promise.turn) for promise in second.promises] == [("[SEG]", 0), ("[LOC]", 0)]
    assert first.promises == () and second.sample.media == (Picture(photo),)


def test_a_long_conversation_forgets_its_beginning():
    model, conversation = Listener(), Conversation()
    for number in range(REMEMBERED + 3):
        conversation.ask(f"question {number}?", model)
    assert [turn.question for turn in model.heard[-1].turns][0] == "question 2?"
    assert len(model.heard[-1].turns) == REMEMBERED + 1


def test_commands_change_the_picture_and_the_conversation(photo, capsys):
    other = ["/picture nowhere.png", "now?", "/new", "what?", "/end", "x"]
    typed, model = iter(["hello?", f"/picture {photo}", "what?", "and?", *other]), Listener()
    asked = [(number, one.question, one.medium) for number, one, _ in converse(model, None, lambda: next(typed))]
    about = Picture(photo)
    assert asked == [
        (0, "hello?", None), (1, "what?", about), (2, "and?", about), (3, "now?", about), (4, "what?", about),
    ]  # fmt: skip
    assert [len(dialogue.turns) for dialogue in model.heard] == [1, 1, 2, 3, 1]
    assert "nowhere.png: no such picture" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, asked",
    [
        ("the cup on the left", "Output the segmentation mask of the cup on the left in the image."),
        ("What is it?", "What is it?"),
        ("这是什么？", "这是什么？"),
        ("ما هذا؟", "ما هذا؟"),
    ],
)
def test_one_line_finds_a_thing_or_asks_a_sentence(photo, tmp_path, monkeypatch, capsys, text, asked):
    model = Listener()
    monkeypatch.setattr(ask, "open_model", lambda options: model)
    ask.main([str(photo), text, "--out", str(tmp_path / "out"), "--save", "rle"])
    line = json.loads((tmp_path / "out" / "answers.jsonl").read_text())
    assert line["question"] == asked and line["rle"] == "0000_a_rle.json"
    assert "cat, confidence 1.00, box 0 0 4 4" in capsys.readouterr().out


def test_a_model_answers_in_the_second_turn_as_in_one_dialogue(recipe, world):
    """The network reads earlier answers with their tokens, whatever they pointed at."""
    from ullava.models.answering import Answerer
    from ullava.models.assembly import assemble

    answerer = Answerer(assemble(recipe()), GenerationConfig(max_new_tokens=4))
    conversation = Conversation(world.picture(0))
    conversation.ask("Where is it?", answerer)
    conversation.turns[0] = type(conversation.turns[0])("Where is it?", "Mask: [SEG]; Location: [LOC].")
    assert isinstance(chat.Conversation.ask(conversation, "And what is here?", answerer).text, str)
    row = answerer.processor(conversation.dialogue("?"), answered=False)
    ids = [answerer.ids[token] for token in ("[SEG]", "[LOC]")]
    assert set(ids) <= set(row.input_ids.tolist()) and not row.promises
