"""What data cost: a sample on its way to the batch, an annotation file, and what workers share of it.

python benchmarks/data.py                       all but the largest table, a minute
python benchmarks/data.py way                   a sample's way, against the bare decoding and against u-LLaVA's
python benchmarks/data.py share                 the memory of 8 workers against that of one
python benchmarks/data.py open --records 10000000 --folder /big/disk     opening; files stay there, 6 GB of them
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.messages import run_command

WHAT = ("way", "share", "open")


def way(count: int) -> None:
    """Prints what a sample costs, drawn and, where they are, real."""
    from benchmarks.data_way import compare, drawn, parts, processors, real
    from benchmarks.ledger import show, table

    with tempfile.TemporaryDirectory() as name:
        ours, theirs = processors(Path(name))
        lines, steps = [], []
        for kind, open_source in (("drawn", lambda: drawn(Path(name))), ("real", real)):
            try:
                source = open_source()
                bare, whole, batch, floats = compare(source, ours, theirs, count)
            except FileNotFoundError:
                print(f"{kind}: left out, $ULLAVA_SHARED is absent\n")
                continue
            ratios = f"{whole / bare:.2f}", f"{floats / batch:.2f}"
            lines.append((kind, bare, whole, ratios[0], 1000 / batch, 1000 / floats, ratios[1]))
            steps += [(kind, step, ms) for step, ms in parts(ours, list(islice(source(), count))).items()]
    head = ("pictures", "bare ms", "whole way ms", "whole / bare", "samples/s", "u-LLaVA's samples/s", "ours / theirs")
    print(table(head, lines), "\n")
    print(table(("pictures", "step", "ms"), [(kind, step, show(ms)) for kind, step, ms in steps]))


def share(folder: Path, records: int) -> None:
    """Prints what workers hold of a table."""
    from benchmarks.data_tables import sharing, write_annotations
    from benchmarks.ledger import table

    path = write_annotations(folder / f"{records}.jsonl", records)
    one, eight = (sharing(path, workers) for workers in (1, 8))
    print(table(("records", "1 worker, MB", "8 workers, MB", "8 / 1"), [(records, one, eight, f"{eight / one:.2f}")]))


def opening(folder: Path, sizes: Sequence[int]) -> None:
    """Prints what opening costs."""
    from benchmarks.data_tables import openings
    from benchmarks.ledger import table

    head = (
        "records",
        "file MB",
        "table MB",
        "first, CPU s",
        "its peak MB",
        "again s",
        "record us",
        "opened MB",
        "then own MB",
    )
    print(table(head, list(openings(folder, list(sizes)))))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*WHAT, []], help="default: all")
    parser.add_argument("--count", type=int, default=64, help="samples a round; default: %(default)s")
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 100_000], help="default: %(default)s")
    parser.add_argument("--shared", type=int, default=300_000, help="records that workers share; default: %(default)s")
    parser.add_argument(
        "--folder", type=Path, help="where to write annotation files, and to find them; default: none stay"
    )
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)  # one opening, in a process of its own
    options = parser.parse_args(arguments)
    if options.open:
        from benchmarks.data_tables import opening as opening_of

        print(json.dumps(opening_of(options.open)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["ULLAVA_CACHE"] = str(folder / "cache")
        for what in options.what or WHAT:
            print(f"## {what}\n")
            if what == "way":
                way(options.count)
            else:
                share(folder, options.shared) if what == "share" else opening(folder, options.records)
            print()


if __name__ == "__main__":
    run_command(main)
