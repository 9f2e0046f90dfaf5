"""What a registered class takes as options in a YAML: names, types, defaults, and what its docstring says of each."""

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from ullava.documenting.comments import argument_texts
from ullava.documenting.tables import REQUIRED, Key, in_words, written

FROM_ELSEWHERE = {"resolution", "dtype"}  # arguments by keyword that another key of the YAML decides
WEIGHTS = {"text": "folder of the text encoder, beside a published file"}  # other options: a folder or a file


def options_of(cls: type) -> list[Key]:
    """The options of a class: a dataclass's fields after `name`, any other's arguments by keyword.

    A class that stands on files of weights, as heads do, names their options in `foundations`.
    """
    foundations = getattr(cls, "foundations", {})
    known = dict.fromkeys(foundations, "") | dict(defaults(cls))
    arguments = {*known, *inspect.signature(cls).parameters}
    texts: dict[str, str] = {}
    for ancestor in reversed(cls.__mro__[:-1]):
        texts |= argument_texts(inspect.getdoc(ancestor) or "", arguments)
    texts |= {name: WEIGHTS.get(name, "folder of weights, or a published file") for name in foundations}
    hints = get_type_hints(cls.__init__) | dict.fromkeys(foundations, str)
    return [Key(name, in_words(hints.get(name, Any)), known[name], texts.get(name, "")) for name in known]


def defaults(cls: type) -> Iterator[tuple[str, str]]:
    """Yields each option's name and its default as YAML."""
    if is_dataclass(cls):
        for field in fields(cls):
            if field.init and field.name != "name":
                value = field.default if field.default_factory is MISSING else field.default_factory()
                yield field.name, REQUIRED if value is MISSING else written(value)
        return
    parameters = list(inspect.signature(cls).parameters.values())
    by_keyword = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    by_place = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    for parameter in by_keyword or by_place:
        if parameter.name not in FROM_ELSEWHERE:
            default = parameter.default
            yield parameter.name, REQUIRED if default is inspect.Parameter.empty else written(default)
