"""Names that a YAML may use for one kind of thing: a task, a reader, a head, a metric."""

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from reprlib import Repr
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
C = TypeVar("C", bound=type)
PLUGIN_HINT = "if a plugin brings it, name its module under `plugins:` or in $ULLAVA_PLUGINS"
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


class Registry(dict[str, T]):
    """Maps names to what a YAML may ask for by name, and says what it knows when asked for something it does not.

    Modules outside the package fill it in the same way as those inside (configs/plugins.py).

    Example:
        TASKS: Registry[type[Task]] = Registry("task")

        @TASKS.register("res")
        class ReferringSegmentation(Task): ...

        TASKS.build("res", {"rounds": 3})

    Args:
        kind: what its entries are, as messages call one of them.
    """

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind

    def register(self, name: str) -> Callable[[C], C]:
        """Returns a decorator that enters a class as `name`; the class knows its own name as `.name`.

        Raises:
            ValueError: when it decorates; the name is taken by another entry.
        """

        def decorate(entry: C) -> C:
            self.add(name, cast(T, entry))
            entry.name = name  # pyright: ignore[reportAttributeAccessIssue], each contract declares it
            return entry

        return decorate

    def add(self, name: str, entry: T) -> None:
        """Enters an object as `name`: a phrasebook, a grammar.

        Raises:
            ValueError: the name is taken by another entry.
        """
        if name in self:
            raise ValueError(f"{self.kind} {name!r} is already {getattr(self[name], '__qualname__', self[name])}")
        self[name] = entry

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
        return make(cast(Callable[..., Any], self[name]), options, f"{self.kind} {name!r}", **given)

    def unknown(self, name: str) -> str:
        """The message about a name that is not registered: the known ones, and how a plugin's name becomes known."""
        return f"no {self.kind} {name!r}; {nearest(name, self)}; {PLUGIN_HINT}"

    def __missing__(self, name: str) -> T:
        raise LookupError(self.unknown(name))


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


def import_modules(package: str) -> None:
    """Imports every module of a package, in the order of their names, so that each registers what it defines.

    Args:
        package: its dotted name, in its own `__init__.py` `__name__`.
    """
    for module in sorted(iter_modules(sys.modules[package].__path__), key=lambda module: module.name):
        if module.name != "__main__":
            import_module(f"{package}.{module.name}")
