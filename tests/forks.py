"""Commands in processes of their own that need not import the libraries: forks of one server that has.

An import of torch, transformers and peft takes 8 CPU seconds, which a hundred commands would each spend again. Nothing
has been computed in the server, so that a fork is what a new process is after its imports.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

IMPORTED = ["ullava.training.train", "ullava.checking.check", "ullava.evaluation.ask.ask"]


def start(words: Sequence[str | Path], output: Path, cwd: Path, environment: Mapping[str, str]) -> BaseProcess:
    """Starts `python WORDS...`, WORDS being a script or `-m MODULE`, and its arguments.

    Args:
        output: file to which it writes both streams, one after the other.
        environment: all of its variables. Imported libraries have read theirs, OMP_NUM_THREADS aside, which is heeded.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_live, args=(list(map(str, words)), output, cwd, dict(environment)))
    process.start()
    return process


def run(
    words: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess:
    """Runs a command to its end; `stdout` holds what it wrote to either stream."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        process = start(words, output, cwd, os.environ if environment is None else environment)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(list(words), timeout, output.read_bytes())
        assert process.exitcode is not None  # it has ended
        return subprocess.CompletedProcess(list(words), process.exitcode, output.read_text(), "")


def _live(words: list[str], output: Path, cwd: Path, environment: dict[str, str]) -> None:
    """The life of a fork."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", 1)))
    os.chdir(cwd)
    sys.path[:] = [path for path in sys.path if path]
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, str(cwd))
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).absolute().parent))
        runpy.run_path(words[0], run_name="__main__")
