"""Runs evaluations one after the other, each rank a process of its own that may be killed.

    python tests/evaluation/engine/stopping.py jobs.json

A job is {"command": [...], "ranks": 2, "killed": 3 or null, "port": "..."}: the last rank is killed at its `killed`-th
batch, and the others, which then wait for it, as well. asked.txt beside the jobs gets a line for every batch that a
model is asked: the job's number, and the rank. The processes are forked from one that has imported everything.
"""

import json
import os
import signal
import sys
import traceback
from itertools import count
from pathlib import Path

import ullava.models.answering
from ullava.evaluation import evaluator  # noqa: F401, the import that takes long
from ullava.evaluation.eval_ullava import main
from ullava.models.answering import Answerer


def live(job: dict, rank: int, note: Path) -> None:
    """A child's life; it never returns."""
    code = 70
    try:
        if job["ranks"] > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(job["ranks"])}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": job["port"]}
        watch(f"{job['number']} {rank}\n", note, job["killed"] if rank == job["ranks"] - 1 else None)
        main(job["command"])
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(code)


def watch(name: str, note: Path, dies: int | None) -> None:
    """Notes every batch, and lets this process die when it is about to answer its `dies`-th one."""
    answer, calls = Answerer.__call__, count(1)

    def mortal(self, dialogues, **how):
        if next(calls) == dies:
            os.kill(os.getpid(), signal.SIGKILL)
        with note.open("a") as file:
            file.write(name)
        return answer(self, dialogues, **how)

    ullava.models.answering.Answerer.__call__ = mortal


def run(job: dict, note: Path) -> list[int]:
    """How the processes of a job ended."""
    children = []
    for rank in range(job["ranks"]):
        child = os.fork()
        if not child:
            live(job, rank, note)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(children.pop(), 0)[1])]
    for child in children:
        if job["killed"]:
            os.kill(child, signal.SIGKILL)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return codes


if __name__ == "__main__":
    jobs = Path(sys.argv[1])
    numbered = [job | {"number": n} for n, job in enumerate(json.loads(jobs.read_text()))]
    ended = [run(job, jobs.with_name("asked.txt")) for job in numbered]
    jobs.with_name("ended.json").write_text(json.dumps(ended))
