"""No verb's `--help` waits for torch or transformers, and each says how it is called."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ullava.__main__ import VERBS
from ullava.checking.datasets import DEPTHS
from ullava.commands import check

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "transformers", "peft", "accelerate"}
LIGHT = {*VERBS} - {"score", "prepare"}  # these two list kinds, which read files by numpy
PROGRAM = """
import io, json, sys
from contextlib import redirect_stdout
from ullava.__main__ import main
with redirect_stdout(io.StringIO()) as page:
    try:
        main([sys.argv[1], "--help"])
    except SystemExit as end:
        code = end.code
modules = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps({"code": code, "page": page.getvalue(), "modules": modules}))
"""


@pytest.mark.parametrize("verb", VERBS)
def test_help_loads_nothing_heavy(verb):
    done = subprocess.run([sys.executable, "-c", PROGRAM, verb], capture_output=True, text=True, check=True)
    help_page = json.loads(done.stdout)
    assert help_page["code"] == 0 and help_page["page"].startswith(f"usage: ullava {verb} ")
    assert not HEAVY & set(help_page["modules"])
    assert verb not in LIGHT or "scipy" not in help_page["modules"]


def test_the_benchmark_measures_every_verb():
    assert all(f'"{verb}"' in (ROOT / "benchmarks" / "help.py").read_text() for verb in VERBS)


def test_check_names_the_depths_that_there_are():
    assert check.DEPTHS == DEPTHS
