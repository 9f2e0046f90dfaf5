"""A registry says what it knows, and checks what it builds."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from ullava.configs.registry import PLUGIN_HINT, Registry, nearest

THINGS = Registry("thing")


@THINGS.register("cup")
@dataclass(frozen=True)
class Cup:
    volume: float
    marks: tuple[str, ...] = ()
    label: Path | None = None


@THINGS.register("plain")
class Plain:
    pass


def test_a_class_knows_the_name_it_is_registered_under():
    assert THINGS["cup"] is Cup and Cup.name == "cup"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(LookupError) as caught:
        THINGS["cap"]
    assert str(caught.value) == "no thing 'cap'; did you mean 'cup'? there are: cup, plain; " + PLUGIN_HINT
    assert not isinstance(caught.value, KeyError)  # whose message would be quoted


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="thing 'cup' is already Cup"):
        THINGS.register("cup")(Plain)


def test_nearest_of_nothing():
    assert nearest("x", []) == "there are: none"
    assert nearest(3, ["a"]) == "there are: a"


def test_options_are_checked_and_turned_into_what_the_constructor_expects():
    assert THINGS.build("cup", {"volume": 1, "marks": ["a", "b"], "label": "x.txt"}) == Cup(
        1.0, ("a", "b"), Path("x.txt")
    )
    assert isinstance(THINGS.build("plain", {}), Plain)


def test_all_faults_of_the_options_come_at_once():
    with pytest.raises(ValueError) as caught:
        THINGS.build("cup", {"volum": 1, "marks": "ab"})
    assert str(caught.value).splitlines() == [
        "thing 'cup': marks: input should be a valid tuple, found 'ab'",
        "thing 'cup': no option 'volum'; did you mean 'volume'? there are: label, marks, volume",
        "thing 'cup': option 'volume' is missing",
    ]


def test_what_the_program_gives_no_user_may_write():
    assert THINGS.build("cup", {}, volume=2.0).volume == 2.0
    with pytest.raises(ValueError, match="no option 'volume'; there are: label, marks"):
        THINGS.build("cup", {"volume": 1.0}, volume=2.0)


def test_a_class_without_options_takes_none():
    with pytest.raises(ValueError, match="thing 'plain': no option 'x'; there are: none"):
        THINGS.build("plain", {"x": 1})


def test_a_built_thing_travels_to_a_worker():
    cup = THINGS.build("cup", {"volume": 1})
    assert pickle.loads(pickle.dumps(cup)) == cup


def test_an_object_that_is_no_class_is_entered_as_it_is():
    books = Registry("book")
    books.add("mine", ("Where is it?",))
    assert books["mine"] == ("Where is it?",)
    with pytest.raises(ValueError, match="book 'mine' is already"):
        books.add("mine", ())
