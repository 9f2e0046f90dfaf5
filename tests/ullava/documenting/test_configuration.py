"""docs/configuration.md says what the schema and the registries say, all of it."""

import re
from typing import Annotated, Literal

import pytest
from pydantic import Field

from ullava.configs.schema import Section
from ullava.documenting.__main__ import PAGE, main
from ullava.documenting.comments import argument_texts, description, field_comments
from ullava.documenting.configuration import REGISTRIES, inner_sections, page, sections
from ullava.documenting.tables import cell, in_words, written


class Toy(Section):
    width: int = 3  # of a stone, in pixels
    # of nothing: it stands alone
    height: int = 4
    names: tuple[str, ...] = (  # of all
        "a",  # the first
        "b",
    )


def test_the_page_is_what_the_code_says():
    main(["--check"])


def test_a_page_that_is_out_of_date_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr("ullava.documenting.__main__.PAGE", tmp_path / "configuration.md")
    with pytest.raises(ValueError, match="out of date; run python -m ullava.documenting"):
        main(["--check"])


def test_every_key_of_the_schema_says_what_it_means():
    text = "\n\n".join(sections())
    assert text.count("\n| `") > 80
    assert not [line for line in text.splitlines() if line.startswith("| `") and line.endswith("|  |")]


def test_every_registered_name_has_its_part():
    text = page()
    for _, key, registry, _ in REGISTRIES:
        assert len(registry) > 3
        assert all(f"### `{name}` {{ #{key}-{name.replace('_', '-')} }}" in text for name in registry)


def test_links_on_the_page_have_their_section():
    text = PAGE.read_text()
    named = set(re.findall(r"\]\(#([\w-]+)\)", text))
    assert named and named <= set(re.findall(r"\{ #([\w-]+) \}", text))


def test_comments_are_those_of_their_own_field():
    expected = {"width": "of a stone, in pixels", "height": "", "names": "of all the first"}
    assert field_comments(Toy) == expected


def test_arguments_of_a_docstring():
    text = "Makes.\n\nArgs:\n    a, b: two\n        of them.\n    c: one; None: no; d: last.\n\nRaises:\n    e: x."
    expected = {"a": "two of them.", "b": "two of them.", "c": "one; None: no", "d": "last."}
    assert argument_texts(text, {"a", "b", "c", "d", "e"}) == expected
    assert description(text) == "Makes."


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Literal["a", None], "`a`, `null`"),
        (Annotated[int | None, Field(ge=1)], "whole number >= 1 or null"),
        (tuple[float, float], "list of 2: number"),
        (dict[str, list[int]], "mapping of text to list of whole number"),
    ],
)
def test_types_in_words(hint, words):
    if isinstance(hint, type(Annotated[int, 1])):
        hint = Annotated[hint.__origin__, *hint.__metadata__[0].metadata]
    assert in_words(hint) == words


def test_sections_inside_sections_are_found():
    from ullava.configs.schema import EvaluationRow, RunConfig

    assert ("evaluate", EvaluationRow) in inner_sections(RunConfig)


def test_a_cell_stays_one_cell():
    assert cell("a | b <c> *d* `e | f`") == "a &#124; b &lt;c> \\*d\\* <code>e &#124; f</code>"


def test_values_stand_as_in_yaml():
    assert [written(value) for value in ((0.9, 0.999), None, True, "a")] == ["[0.9, 0.999]", "null", "true", "a"]
