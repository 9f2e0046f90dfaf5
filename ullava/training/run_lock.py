"""Locks a run's folder, so that no other process writes there."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ullava.training.saving import sweep

LOCK = ".lock"


@contextmanager
def run_lock(folder: str | Path) -> Iterator[list[str]]:
    """Makes a run's folder, holds it for this process until it ends, however it ends, and yields what it swept there.

    Rank 0 holds it for all. The lock is the process's own (POSIX), so that a data worker which outlives its parent for
    a moment does not keep the next run out.

    Raises:
        ValueError: another run holds the folder, or nobody may write there.
    """
    if int(os.environ.get("RANK", 0)):
        yield []
        return
    path = Path(folder, LOCK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise ValueError(
            f"output_dir: {folder} cannot be written ({error.strerror}); name a folder on a disk that may be"
        ) from error
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ValueError(
                f"output_dir: {folder} is in use by {holder}; wait for it, stop it, or name another folder"
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield sweep(folder)
