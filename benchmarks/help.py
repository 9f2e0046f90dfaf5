"""What `ullava VERB --help` costs: CPU seconds of each verb, and whether it loads torch or transformers.

python benchmarks/help.py [--repeats 3]

The least of the repeats counts: another program's load makes a process dearer, never cheaper.
"""

import argparse
import os
import resource
import subprocess
import sys

VERBS = (
    "train", "check", "plan", "eval", "infer", "ask", "chat", "report", "score", "compare", "export-masks", "merge",
    "convert", "export", "prepare", "demo", "generate-images",
)  # fmt: skip
LIMIT = 1.5  # seconds of CPU that a --help may cost
CODE = """
import sys
from ullava.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("heavy:", *sorted({"torch", "transformers"} & set(sys.modules)), file=sys.stderr)
"""


def main() -> None:
    """Prints the table; exits with 1 where a verb costs more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    repeats = parser.parse_args().repeats
    print("| verb | CPU seconds | loads |\n| --- | --- | --- |")
    slow = []
    for verb in VERBS:
        seconds, loaded = measure(verb, repeats)
        slow += [verb] if seconds > LIMIT else []
        print(f"| {verb} | {seconds:.2f} | {loaded or '-'} |", flush=True)
    if slow:
        sys.exit(f"over {LIMIT} s: {', '.join(slow)}")


def measure(verb: str, repeats: int) -> tuple[float, str]:
    """CPU seconds (user and system) of one verb's help, and which of the heavy packages it loads."""
    seconds, loaded = [], ""
    for _ in range(repeats + 1):  # the first one compiles
        before = spent()
        command = [sys.executable, "-c", CODE, verb, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        seconds.append(spent() - before)
        loaded = done.stderr.rpartition("heavy:")[2].strip()
    return min(seconds[1:]), loaded


def spent() -> float:
    """CPU seconds of all processes that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
