"""How a run is asked to stop: SIGTERM, or Ctrl-C once. It ends its step, saves, and exits with 0."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from ullava.configs.plugins import load_plugins


class Stopped(SystemExit):
    """Ends a process that was asked to stop, with 0; `message` is None on all ranks but the first."""

    def __init__(self, message: str | None):
        super().__init__(0)
        self.message = message


class Stop:
    """Whether somebody has asked this process to stop.

    Attributes:
        asked: the name of the signal; None as long as nobody has.
        loses: what a process that ended now would have to do again; None while it has to be saved first.
    """

    def __init__(self):
        self.asked: str | None = None
        self.loses: str | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals inside the block; a second Ctrl-C interrupts as usual."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self.hear) for kind in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        self.asked = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self.leave_if_free()

    @contextmanager
    def free(self, loses: str) -> Iterator[None]:
        """Marks a block in which nothing has to be saved, so that a signal ends the process at once."""
        self.loses = loses
        try:
            self.leave_if_free()
            yield
        finally:
            self.loses = None

    def leave_if_free(self) -> None:
        """Ends the process if it was asked to stop and nothing has to be saved."""
        if self.asked and self.loses:
            raise Stopped(f"stopped by {self.asked} in {self.loses}; the same command begins it again and goes on")


class Stopping(TrainerCallback):
    """Saves at the end of the step in which all ranks know that one was asked to stop, and leaves."""

    def __init__(self, trainer: Any):
        self.trainer, self.leaving = trainer, False

    def on_step_end(self, args, state, control, **_: Any) -> None:
        """Asks the Trainer to save the step."""
        if self.trainer.has_to_stop():
            self.leaving = control.should_save = True

    def on_save(self, args, state, control, **_: Any) -> None:
        """Ends the process; an evaluation that is due is left to the process that resumes."""
        if self.leaving:
            name = self.trainer.stop.asked or "another rank"
            message = f"stopped by {name} after step {state.global_step}, which is saved; the same command goes on"
            raise Stopped(message if state.is_world_process_zero else None)


def undisturbed(worker: int) -> None:
    """Lets a data worker live until its step has ended: who stops a run often signals all of its processes at once.

    Ctrl-C is for the main process alone, and a SIGTERM ends a worker only where its parent sends it.
    """
    load_plugins()  # a spawned worker has imported nothing yet
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=obey_parent, daemon=True).start()


def obey_parent() -> None:
    """Ends this process when its parent says so."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
