"""How a command ends: one clear message for what the user can cure, a traceback for what only we can.

    if __name__ == "__main__":
        run_command(main)
"""

import sys
from collections.abc import Callable, Sequence

CURABLE = (ValueError, LookupError, OSError, ImportError)  # a ConfigError is a ValueError
OURS = (KeyError, IndexError, UnicodeError)  # kinds of the above that no message of ours uses: a defect, not bad input


def run_command(main: Callable[[list[str]], None], arguments: Sequence[str] | None = None) -> None:
    """Runs `main(arguments)`; turns an error that names its cure into its message and exit status 1.

    `--debug`, anywhere among the arguments, shows the traceback instead.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    try:
        main([argument for argument in arguments if argument != "--debug"])
    except KeyboardInterrupt:
        sys.exit(130)
    except CURABLE as error:
        if debug or isinstance(error, OURS):
            raise
        print(f"error: {error}\n(--debug shows where)", file=sys.stderr)
        sys.exit(1)
