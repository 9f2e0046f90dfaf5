"""Answers are read back as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullava.configs.tokens import LOC, SEG
from ullava.tasks.answers.grammar import GRAMMARS, MARK_PATTERN, plain, words
from ullava.tasks.base import Reading

NEWER, FIRST, NAMED = GRAMMARS["ullava"], GRAMMARS["ullava_v1"], GRAMMARS["named"]
# Punctuation of the grammar itself, quotes, line breaks, other alphabets: all of it may be in an annotation.
TEXTS = st.one_of(
    st.text(), st.text("[]/;:.<>tagSEG\n é狗"), st.sampled_from(["]; [", ". explanation: x", "a[tag", "/tag]"])
)
PLAIN = TEXTS.filter(lambda text: not MARK_PATTERN.search(text)).map(lambda text: plain(text, "toy/1"))


def test_the_newer_release_says_mask_and_location():
    assert NEWER.write([SEG, LOC], "dog") == "Sure. Mask: [SEG]; Location: [LOC]; [tag]dog[/tag]."


def test_the_first_release_says_info():
    assert FIRST.write([SEG], "dog") == "Sure. Info: [SEG]; [tag]dog[/tag]."


def test_a_name_may_stand_where_its_tokens_are_said():
    assert NAMED.write([SEG, LOC], "dog", "it runs") == "Sure. dog [SEG]; dog [LOC]. Explanation: it runs"
    assert NAMED.write([SEG]) == "Sure. Mask: [SEG]."
    assert NAMED.read("Sure. dog [SEG] ; dog[LOC].") == Reading("", (SEG, LOC), ("dog",))
    assert NAMED.read("Sure. dog [SEG]; cat [LOC].") is None


def test_a_reason_is_an_explanation():
    written = NEWER.write([SEG, LOC], "dog", "it runs")
    assert written == "Sure. Mask: [SEG]; Location: [LOC]; [tag]dog[/tag]. Explanation: it runs"


def test_what_nobody_named_has_no_tag():
    assert NEWER.write([LOC]) == "Sure. Location: [LOC]."


@given(
    st.sampled_from([NEWER, FIRST, NAMED]),
    st.lists(st.sampled_from([SEG, LOC]), min_size=1, max_size=2, unique=True),
    PLAIN,
    PLAIN,
)
def test_reading_is_the_inverse_of_writing(grammar, owners, name, reason):
    read = grammar.read(grammar.write(owners, name, reason))
    assert read == Reading(reason, tuple(owners), (name,) if name else ())


@given(st.sampled_from([NEWER, FIRST, NAMED]), st.text())
def test_other_text_is_not_read(grammar, text):
    assert grammar.read(text) is None


def test_spaces_that_a_tokenizer_adds_do_not_matter():
    spaced = "Sure. Mask: [SEG] ; Location: [LOC] ; [tag] dog [/tag] ."
    assert NEWER.read(spaced) == Reading("", (SEG, LOC), ("dog",))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Sure.",
        "Sure. Info: [SEG]; [tag]dog[/tag].",  # the other release's
        "Sure. Mask: [SEG]; Location: [LOC]; [tag]dog.",  # cut short
        "Sure. Mask: [SEG]; [tag]dog[/tag]. Mask: [SEG]; [tag]cat[/tag].",  # a name would hold tokens
        "Sure. Mask: [SEG]; [tag]dog[/tag]. Explanation: [SEG]",
        "Sure. Mask: [SEG]; [tag]dog[/tag]. It runs.",
    ],
)
def test_an_answer_of_another_form_is_not_read(answer):
    assert NEWER.read(answer) is None


@pytest.mark.parametrize("text", ["a [SEG] dog", "[/tag]", "[TAG]x", "<image>", "</IMG_END>", "[pad]"])
def test_a_token_in_a_name_is_refused_with_its_sample(text):
    with pytest.raises(ValueError, match="toy/1: expected plain words, found"):
        plain(text, "toy/1")


def test_names_are_lower_case_without_space_around():
    assert plain(" Traffic Light\n", "toy/1") == "traffic light"


def test_words_are_read_as_text_unless_they_say_a_token():
    assert words(" a dog \n") == Reading("a dog")
    assert words("  ") is None and words("a dog [SEG]") is None
