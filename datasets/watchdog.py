"""Gives up on work that hangs, also where it hangs in C and no Python of it runs any more.

The work is done by a thread of its own, which PyAV's calls leave free to be waited for. A thread cannot be killed: one
that hangs is left behind, and ends with its process, which the error ends in turn. Measured on one busy core: a thread
costs 0.2 ms a call, beside films of 70 to 570 ms. A process could be killed at once, but costs 10 ms to fork, which is
not safe beside CUDA or torch's threads, or 680 ms to start anew.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], late: str) -> T:
    """Returns `work()`.

    Args:
        seconds: how long it may take.
        late: message of the error where it takes longer.

    Raises:
        TimeoutError: it is not done in time.
        BaseException: whatever `work` raises.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True, name="within").start()
    try:
        return outcome.result(seconds)
    except TimeoutError as error:
        if outcome.done():  # the work's own
            raise
        raise TimeoutError(late) from error
