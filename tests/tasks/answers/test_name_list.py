"""LaSagnA's answers: written, read back, and understood where a model breaks their form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullava.configs.tokens import NEG, SEG
from ullava.tasks.answers.grammar import MARK_PATTERN
from ullava.tasks.answers.name_list import NAME_LISTS, glean
from ullava.tasks.base import Reading

VERDICTS = (("wall", SEG), ("dog", NEG), ("sky", SEG))
names = (
    st.text(st.characters(blacklist_categories=("Cs", "Cc", "Z")) | st.just(" "), min_size=1, max_size=20)
    .map(str.strip)
    .filter(lambda name: name and not name.startswith(",") and not MARK_PATTERN.search(name))
)
verdicts = st.lists(st.tuples(names, st.sampled_from((SEG, NEG))), max_size=8)


def test_the_published_forms():
    assert NAME_LISTS["joined"].write(VERDICTS) == "wall[SEG]dog[NEG]sky[SEG]"
    assert NAME_LISTS["listed"].write(VERDICTS) == "wall [SEG], dog [NEG], sky [SEG]"
    assert NAME_LISTS["spaced"].write(VERDICTS) == "wall [SEG] dog [NEG] sky [SEG]"


@given(verdicts=verdicts, form=st.sampled_from(sorted(NAME_LISTS)))
def test_reading_is_the_inverse_of_writing(verdicts, form):
    read = NAME_LISTS[form].read(NAME_LISTS[form].write(verdicts))
    assert read is not None and list(zip(read.names, read.tokens, strict=True)) == verdicts


@given(verdicts=verdicts.filter(bool), form=st.sampled_from(sorted(NAME_LISTS)))
def test_what_keeps_the_form_is_understood_alike(verdicts, form):
    answer = NAME_LISTS[form].write([(name.strip(" .;,\t\n") or "x", token) for name, token in verdicts])
    assert glean(answer) == NAME_LISTS[form].read(answer)


def test_spaces_that_a_tokenizer_puts_around_tokens_change_nothing():
    read = Reading("", (SEG, NEG, SEG), ("wall", "dog", "sky"))
    assert NAME_LISTS["joined"].read(" wall [SEG] dog [NEG]sky [SEG] ") == read
    assert NAME_LISTS["listed"].read("wall [SEG] , dog[NEG], sky [SEG]") == read


def test_nothing_is_said_in_words():
    assert NAME_LISTS["listed"].write([]) == "Nothing." and NAME_LISTS["joined"].read("Nothing.") == Reading("")


@pytest.mark.parametrize(
    "answer",
    ["", "wall", "wall [SEG], ", "wall [SEG] dog [NEG]", "wall [SEG], [NEG]", "[SEG]", "a [LOC] [SEG]", "wall [SEG]."],
)
def test_what_breaks_the_form_is_not_read(answer):
    assert NAME_LISTS["listed"].read(answer) is None


def test_an_answer_that_was_cut_short_is_understood_up_to_there():
    assert glean("wall [SEG], dog [NEG], trou") == Reading("", (SEG, NEG), ("wall", "dog"))


def test_a_token_without_a_name_keeps_its_place():
    assert glean("Sure. [SEG]; [SEG] sky [SEG]").names == ("Sure", "", "sky")
