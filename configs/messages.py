"""How a command ends: one clear message for what the user can cure, a traceback for what only we can.

if __name__ == "__main__":
    run_command(main)
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ullava.configs.plugins import load_plugins

CURABLE = (ValueError, LookupError, OSError, ImportError)  # a ConfigError is a ValueError
OURS = (KeyError, IndexError, UnicodeError)  # kinds of the above that no message of ours uses: a defect, not bad input


@contextmanager
def located(where: str) -> Iterator[None]:
    """Puts `where` (a file, a key) before every line of an error that the user can cure."""
    try:
        yield
    except CURABLE as error:
        kind = next((kind for kind in (FileNotFoundError, LookupError, ValueError) if isinstance(error, kind)), None)
        if kind is None or isinstance(error, OURS):
            raise
        raise kind("\n".join(f"{where}: {line}" for line in plain(error).splitlines())) from error


def plain(error: Exception) -> str:
    """Its message; of an error in a worker process, without the traceback that PyTorch wraps around it."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    text, begins = str(error), f"\n{type(error).__name__}: "
    return text.rpartition(begins)[2].strip() if text.startswith("Caught ") and begins in text else text


def run_command(main: Callable[[list[str]], None], arguments: Sequence[str] | None = None) -> None:
    """Imports the modules in `$ULLAVA_PLUGINS`, then runs `main(arguments)`.

    An error that names its cure becomes its message and exit status 1.

    `--debug`, anywhere among the arguments, shows the traceback instead.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        load_plugins()
        main([argument for argument in arguments if argument != "--debug"])
    except KeyboardInterrupt:
        sys.exit(130)
    except CURABLE as error:
        if debug or isinstance(error, OURS):
            raise
        print(f"error: {plain(error)}\n(--debug shows where)", file=sys.stderr)
        sys.exit(1)
