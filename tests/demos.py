"""A quick demo whose commands are forks: the same words, the same scripts, without each one's imports."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import forks
from ullava.commands.demo import main
from ullava.demo import demo


def run_quickly(kind: str, output: Path) -> None:
    """Runs `ullava demo --KIND --quick`, two commands at once where it has some that can; see test_end_to_end.py."""

    def run(command: list[str], *, log: Path | None = None, environment: Mapping[str, str] | None = None) -> demo.Step:
        assert command[0] == "python"
        done = forks.run(command[1:], demo.ROOT, (environment or os.environ) | {"OMP_NUM_THREADS": "1"})
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(done.stdout)
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-3000:]}"
        return demo.Step(shlex.join(command), 0.0, 0.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(demo.ROOT)  # it goes there itself, and comes back with the patch
        patch.setenv("ULLAVA_DATA", "")  # it names its own
        patch.setenv("OMP_NUM_THREADS", "2")
        patch.setattr(demo, "run", run)
        main([f"--{kind}", "--quick", "--output", str(output)])
