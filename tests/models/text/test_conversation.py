"""What exactly is written, and where the answers stand in it."""

import json
import re
from copy import copy

import pytest

from tests.shared import SHARED
from ullava.datasets.structures import Turn
from ullava.models.text.conversation import conversation

TURNS = (Turn("Where is it?", "Here."), Turn("What is it?", "A cat."))


def test_simple_is_written_so():
    assert conversation("simple").write(TURNS).text == (
        "\n\n###Human: Where is it?\n###Assistant: Here.\n###Human: What is it?\n###Assistant: A cat.\n###"
    )


def test_vicuna_is_written_so():
    assert conversation("vicuna_v1").write(TURNS).text == (
        "A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions. "
        "USER: Where is it? ASSISTANT: Here.</s>USER: What is it? ASSISTANT: A cat.</s>"
    )


def test_llama2_is_written_so():
    """As LLaVA's and LISA's conversation.py, SeparatorStyle.LLAMA_2; the tokenizer puts the first <s>."""
    assert conversation("llama2").write(TURNS).text == (
        "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand the visual "
        "content that the user provides, and assist the user with a variety of tasks using natural language."
        "\n<</SYS>>\n\nWhere is it? [/INST] Here. </s><s>[INST] What is it? [/INST] A cat. </s>"
    )


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("simple", [" Here.\n###", " A cat.\n###"]),
        ("vicuna_v1", [" Here.</s>", " A cat.</s>"]),
        ("llama2", [" Here. </s>", " A cat. </s>"]),
        ("plain", ["Here.\n", "A cat.\n"]),
    ],
)
def test_spans_cover_each_answer_with_its_blank_and_its_end(name, spans):
    script = conversation(name).write(TURNS)
    assert [script.text[first:last] for first, last in script.answers] == spans


def test_an_open_dialogue_ends_where_the_answer_begins():
    script = conversation("vicuna_v1").write(TURNS, answered=False)
    assert script.text.endswith("ASSISTANT: Here.</s>USER: What is it? ASSISTANT:")
    assert [script.text[first:last] for first, last in script.answers] == [" Here.</s>"]


def test_two_equal_turns_are_two():
    script = conversation("simple").write((TURNS[0], TURNS[0]), answered=False)
    assert len(script.answers) == 1
    assert script.text.count("Where is it?") == 2


def test_braces_in_a_question_are_letters():
    assert "USER: {question} {0} ASSISTANT:" in conversation("vicuna_v1").write([Turn("{question} {0}", "")]).text


def test_old_names_are_known():
    assert conversation("conv_simple") is conversation("simple")
    assert conversation("conv_sep2") is conversation("llava_v1") is conversation("vicuna_v1")
    assert conversation("conv_llama2") is conversation("llava_llama_2") is conversation("llama2")


def test_a_chat_template_is_a_tokenizers():
    with pytest.raises(
        ValueError, match="conversation 'chat_template': expected the tokenizer that has it, found none"
    ):
        conversation("chat_template")


def test_an_end_is_the_tokenizers_own(still):
    tokenizer = copy(still.processor.tokenizer)
    tokenizer.bos_token, tokenizer.eos_token = None, "###"
    script = conversation("llama2", tokenizer).write(TURNS)
    assert script.text.endswith("[/INST] Here. ###[INST] What is it? [/INST] A cat. ###")
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="the tokenizer has no eos_token, which could end an answer"):
        conversation("vicuna_v1", tokenizer)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(LookupError, match="no conversation 'vicuna_v2'; did you mean 'vicuna_v1'"):
        conversation("vicuna_v2")


@pytest.mark.shared
def test_published_dialogues_are_written_as_they_were_published():
    """Of LISA, LaSagnA, KeySeg, LLaVA: texts that their own programs wrote, taken apart and written again."""
    written = 0
    for path in sorted(SHARED.glob("parity/*/config.json")):
        texts = json.loads(path.read_text()).get("conversations", [])
        for text in (text for text in texts if isinstance(text, str) and "USER: " in text):
            turns = [Turn(*pair) for pair in re.findall(r"USER: (.*?) ASSISTANT: (.*?)</s>", text, re.DOTALL)]
            assert conversation("llava_v1").write(turns).text == text, path
            written += 1
    if not written:
        pytest.skip("no published dialogues here")
