"""Names that a YAML may use for one kind of thing: a task, a reader, a head, a metric."""

import difflib
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from reprlib import Repr
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
SHOWN = Repr()  # of a value in a message; stops early, for nine lines of YAML can name a list of 10 ** 9 items
SHOWN.maxlevel, SHOWN.maxlist, SHOWN.maxdict, SHOWN.maxstring, SHOWN.maxother = 4, 16, 16, 80, 80


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `name`: the nearest known name, and all there are."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}there are: {', '.join(known) or 'none'}"


def listing(head: str, faults: Iterable[str], limit: int = 8) -> str:
    """A message: `head`, and the first faults."""
    faults = list(faults)
    more = [f"... and {len(faults) - limit} more"] if len(faults) > limit else []
    return "; ".join([head, *faults[:limit], *more])


class Registry(dict):
    """Maps names to classes, and says what it knows when asked for something it does not.

    Example:
        TASKS = Registry("task")

        @TASKS.register("res")
        class ReferringSegmentation(Task): ...

        TASKS.build("res", {"rounds": 3})
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

    def build(self, name: str, options: Mapping[str, Any], **given: Any) -> Any:
        """Makes an instance: `options` from a YAML are its constructor's arguments, checked against their annotations.

        Args:
            name: under which the class is registered.
            options: what a user wrote.
            given: further arguments, which no user may write.

        Raises:
            LookupError: no such name.
            ValueError: an unknown, missing or wrong option; one per line.
        """
        return make(self[name], options, f"{self.kind} {name!r}", **given)

    def __missing__(self, name: str):
        raise LookupError(f"no {self.kind} {name!r}; {nearest(name, self)}")


def make(maker: Callable[..., T], options: Mapping[str, Any], where: str, **given: Any) -> T:
    """Calls a class or function with `options`, checked against its annotations, and with `given`.

    Raises:
        ValueError: an unknown, missing or wrong option; one per line, each begun by `where`.
    """
    parameters = inspect.signature(maker).parameters
    hints = get_type_hints(maker.__init__ if isinstance(maker, type) else maker)
    known = {key: hints.get(key, Any) for key in parameters if key not in given}
    faults = [f"no option {key!r}; {nearest(key, known)}" for key in options if key not in known]
    required = [key for key in known if parameters[key].default is inspect.Parameter.empty]
    faults += [f"option {key!r} is missing" for key in required if key not in options]
    checked = {}
    for key in options.keys() & known.keys():
        try:
            checked[key] = TypeAdapter(known[key]).validate_python(options[key])
        except ValidationError as error:
            problem = "; ".join(fault["msg"].lower() for fault in error.errors())
            faults.append(f"{key}: {problem}, found {SHOWN.repr(options[key])}")
    if faults:
        raise ValueError("\n".join(f"{where}: {fault}" for fault in sorted(faults)))
    return maker(**checked, **given)


def import_modules(package: str, *, leave: Collection[str] = ()) -> None:
    """Imports every module of a package, in the order of their names, so that each registers what it defines.

    Args:
        package: its dotted name, in its own `__init__.py` `__name__`.
        leave: modules that register nothing and are heavy.
    """
    for module in sorted(iter_modules(sys.modules[package].__path__), key=lambda module: module.name):
        if module.name not in ("__main__", *leave):
            import_module(f"{package}.{module.name}")
