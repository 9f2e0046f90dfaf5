"""Runs training commands one after the other, each in a process of its own that something may happen to.

    python tests/ullava/mortal.py jobs.json

A job is {"command": [...], "ranks": 1, "harm": [[NAME, CALL, DOES], ...], ...}: at the CALL-th call of NAME, a
"module:attribute", the process gets a signal (DOES is its number), or the call goes wrong in the way that `WAYS` names.
ended.json beside the jobs says how each process ended, and what it said. The processes are forked from one that has
imported everything, which saves seconds; nothing has been computed there yet.
"""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import ullava.training.trainer  # noqa: F401, the import that takes long
from ullava.commands.train import main
from ullava.configs.messages import run_command


def no_number(result: Any) -> Any:
    """Losses of which one is no number."""
    result.parts["lm"].fill_(float("nan"))
    return type(result)(result.total * float("nan"), result.parts)


def no_memory(result: Any) -> Any:
    """What a GPU says that is full."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def no_room(result: Any) -> Any:
    """No file may grow beyond 100 kB from now on: the system refuses as a full disk does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    return result


def no_log(result: Any) -> Any:
    """The log lies on a device that is always full."""
    path = Path(os.environ["ULLAVA_RUN"], "log.jsonl")
    path.unlink()
    path.symlink_to("/dev/full")
    return result


def no_worker(result: Any) -> Any:
    """A data worker is killed."""
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    time.sleep(0.3)
    return result


def stop_all(result: Any) -> Any:
    """Who stops a job may signal all of its processes at once."""
    processes = (*multiprocessing.active_children(), multiprocessing.current_process())
    subprocess.run(["kill", "-TERM", *(str(process.pid) for process in processes)], check=True)
    return result


def rest(result: Any) -> Any:
    """Waits for somebody else."""
    time.sleep(600)
    return result


WAYS = {way.__name__: way for way in (no_number, no_memory, no_room, no_log, no_worker, stop_all, rest)}


def harm(name: str, call: int, does: int | str) -> None:
    """Lets something happen at a call of a function."""
    module, path = name.split(":")
    owner: Any = import_module(module)
    *parents, last = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    function, calls = getattr(owner, last), iter(range(1, 10**9))

    def harmed(*given: Any, **named: Any) -> Any:
        now = next(calls) == call
        if now and isinstance(does, int):
            os.kill(os.getpid(), does)
        result = function(*given, **named)
        return WAYS[does](result) if now and isinstance(does, str) else result

    setattr(owner, last, harmed)


def live(job: dict[str, Any], rank: int, said: Path) -> None:
    """A child's life; it never returns. The last rank is the one that is harmed."""
    code = 70
    try:
        for number in (1, 2):
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        for how in job["harm"] if rank + 1 == job["ranks"] else ():
            harm(*how)
        os.environ |= {"ULLAVA_RUN": job["output"]}
        if job["ranks"] > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job["ranks"])}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": job["port"]}
        run_command(main, job["command"])
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    if not job["workers"]:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)  # as a process that was not forked would end: with its workers


def run(jobs: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """How the processes of each job ended, and what they said.

    A job with `beside`, a file, is left running once that file is there, and killed when the next job has ended.
    """
    ended, running = [], []
    for number, job in enumerate(jobs):
        children = []
        for rank in range(job["ranks"]):
            said = folder / f"said-{number}-{rank}"
            child = os.fork()
            if not child:
                live(job, rank, said)
            children.append((child, said))
        if job["beside"]:
            while not Path(job["beside"]).exists():
                time.sleep(0.1)
            running, codes = children, [None]
        else:
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in children]
            for child, _ in running:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            running = []
        ended.append({"codes": codes, "said": "".join(said.read_text() for _, said in children)})
    return ended


if __name__ == "__main__":
    jobs = Path(sys.argv[1])
    jobs.with_name("ended.json").write_text(json.dumps(run(json.loads(jobs.read_text()), jobs.parent)))
