"""What an annotation file costs: to open it, in time and memory, and to share it between worker processes.

Every figure is taken in a process of its own, which says it as JSON. A file's first opening parses it into a table; all
later ones, in whatever process, map that table.
"""

import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ullava.datasets.readers.flat_json.ullava_referring import UllavaReferring
from ullava.datasets.tables import cache_folder

WORDS = ("the", "cup", "on", "left", "red", "man", "in", "blue", "coat", "dog")
BLOCK = 10_000  # records
STRIDE = 7919  # a prime: all records, and none after its neighbour
READ = 2000  # records read at random to learn what one costs


def write_annotations(path: Path, records: int) -> Path:
    """Writes u-LLaVA's records of referred objects, one a line; about 300 bytes each, as in its own files.

    Ten thousand differ, and then they come again: what a record's id is, its place in the file decides.
    """
    if path.is_file():
        return path
    rng = np.random.default_rng(0)
    points, words = rng.integers(0, 400, (BLOCK, 16)), rng.integers(0, len(WORDS), (BLOCK, 12))
    lines = [line(n, points[n].tolist(), words[n].tolist()) for n in range(BLOCK)]
    with path.open("w") as file:
        for first in range(0, records, BLOCK):
            file.writelines(lines[: records - first])
    return path


def line(number: int, points: list[int], words: list[int]) -> str:
    """One record."""
    said = [" ".join(WORDS[word] for word in part) for part in (words[:5], words[5:9], words[9:])]
    record = {
        "image_path": f"train2014/COCO_train2014_{number:012d}.jpg", "height": 480, "width": 640, "category": "cup",
        "bbox": [*points[:2], 40, 60], "segmentation": [points], "sentences": said,
    }  # fmt: skip
    return json.dumps(record) + "\n"


def opened(path: Path) -> UllavaReferring:
    """The dataset in a file."""
    return UllavaReferring("drawn", path, path.parent)


def memory(field: str, process: int | str = "self") -> float:
    """MB that /proc says of a process: Rss (all), Pss (what is shared counted in parts), Anonymous (no file's)."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return int(text.split(f"{field}:")[1].split()[0]) / 1e3


def opening(path: Path) -> dict[str, float]:
    """Opens a dataset and reads some of it; seconds, microseconds a record, and MB."""
    import pyarrow  # noqa: F401, its 60 MB are no table's

    idle = memory("Rss")
    began, busy = time.perf_counter(), time.process_time()
    reader = opened(path)
    reader[len(reader) - 1]
    ready, busy = time.perf_counter(), time.process_time() - busy
    opened_at, peak = memory("Rss"), int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1e3
    for place in np.random.default_rng(0).integers(len(reader), size=READ).tolist():
        reader[place]
    return {
        "records": len(reader), "seconds": ready - began, "busy": busy, "peak": peak, "idle": idle, "opened": opened_at,
        "microseconds": 1e6 * (time.perf_counter() - ready) / READ, "own": memory("Anonymous"),
    }  # fmt: skip


def in_process(path: Path) -> dict[str, float]:
    """`opening` in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("data.py")), "--open", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def openings(folder: Path, sizes: list[int]) -> Iterator[tuple]:
    """Yields a line of the table for each number of records: the first opening, and the second."""
    for size in sizes:
        path = write_annotations(folder / f"{size}.jsonl", size)
        known = set(cache_folder().glob("*.arrow")) if cache_folder().is_dir() else set()
        first, again = in_process(path), in_process(path)
        table = next(iter(set(cache_folder().glob("*.arrow")) - known), None)
        weight = table.stat().st_size / 1e6 if table else 0
        yield (
            size, path.stat().st_size / 1e6, weight, first["busy"], first["peak"], again["seconds"],
            again["microseconds"], again["opened"], again["own"],
        )  # fmt: skip


def sharing(path: Path, workers: int) -> float:
    """MB that `workers` processes hold of a table together once each has read its part of all records, at random."""
    context = multiprocessing.get_context("forkserver")
    barrier, free = context.Barrier(workers + 1), context.Event()
    small = write_annotations(path.parent / "10.jsonl", 10)
    opened(small), opened(path)[0]  # the tables are written
    crew = [
        context.Process(target=work, args=(small, path, part, workers, barrier, free), daemon=True)
        for part in range(workers)
    ]
    for worker in crew:
        worker.start()
    totals = []
    for _ in range(2):
        barrier.wait()
        totals.append(sum(memory("Pss", worker.pid) for worker in crew))
        barrier.wait()
    free.set()
    for worker in crew:
        worker.join()
    return totals[1] - totals[0]


def work(small: Path, path: Path, part: int, parts: int, barrier, free) -> None:
    """One worker: warms up on another table, waits to be measured, reads its part, waits again."""
    warm = opened(small)
    for _ in range(200):
        for place in range(len(warm)):
            warm[place]
    barrier.wait()
    barrier.wait()
    reader = opened(path)
    for number in range(part, len(reader), parts):
        reader[number * STRIDE % len(reader)]
    barrier.wait()
    barrier.wait()
    free.wait()
