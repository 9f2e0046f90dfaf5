"""Names that a YAML may use for one kind of thing: a task, a reader, a head, a metric."""

import difflib
from collections.abc import Callable, Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: the nearest known name, and all there are."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}there are: {', '.join(known) or 'none'}"


class Registry(dict):
    """Maps names to classes, and says what it knows when asked for something it does not.

    Example:
        TASKS = Registry("task")

        @TASKS.register("res")
        class ReferringSegmentation(Task): ...

        TASKS["res"](rounds=3)
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[type], type]:
        """Decorates a class: it is known as `name` from here on, and knows its own name as `.name`."""

        def decorate(cls: type) -> type:
            if name in self:
                raise ValueError(f"{self.kind} {name!r} is already {self[name].__qualname__}")
            self[name] = cls
            cls.name = name
            return cls

        return decorate

    def __missing__(self, name: str):
        raise LookupError(f"no {self.kind} {name!r}; {nearest(name, self)}")
