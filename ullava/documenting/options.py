"""What a registered class takes as options in a YAML: names, types, defaults, and what its docstring says of each."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from ullava.documenting.comments import argument_texts
from ullava.documenting.tables import REQUIRED, Key, in_words, written


def options_of(cls: type, maker: Callable[..., Any] | None = None) -> list[Key]:
    """The options of a class: a dataclass's fields after `name`, any other's arguments by keyword.

    Args:
        cls: as registered.
        maker: what is called in its place, where the parts it is made of are put together elsewhere.
    """
    known = dict(defaults(cls, maker))
    arguments = {*known, *inspect.signature(cls).parameters}
    texts: dict[str, str] = {}
    for one in (*reversed(cls.__mro__), maker):
        texts |= argument_texts(inspect.getdoc(one) or "", arguments) if one not in (object, None) else {}
    hints = get_type_hints(maker or cls.__init__)
    return [Key(name, in_words(hints.get(name, Any)), known[name], texts.get(name, "")) for name in known]


def defaults(cls: type, maker: Callable[..., Any] | None) -> Iterator[tuple[str, str]]:
    """Yields each option's name and its default as YAML."""
    if maker is None and is_dataclass(cls):
        for field in fields(cls):
            if field.init and field.name != "name":
                value = field.default if field.default_factory is MISSING else field.default_factory()
                yield field.name, REQUIRED if value is MISSING else written(value)
        return
    parameters = inspect.signature(maker or cls).parameters.values()
    keywords = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    for one in keywords or [one for one in parameters if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]:
        yield one.name, REQUIRED if one.default is inspect.Parameter.empty else written(one.default)
