"""Who spent what: a meter's readings, booked to the innermost region that is open.

The meter is a clock or a count of floating-point operations; the borders of the regions are the same for both. Reading
a clock waits for the device, so a run that is measured this way is slower: throughput is measured without a ledger.
"""

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

CPU_ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "A10G": 70, "4090": 165}  # dense bf16 TFLOP/s, datasheets


class Ledger:
    """Books what a meter shows.

    Args:
        meter: a reading that only grows.
        outside: what is in no region.
    """

    def __init__(self, meter: Callable[[], float], outside: str = "other"):
        self.meter, self.spent = meter, defaultdict(float)
        self.open, self.last, self.undo = [outside], meter(), []

    def book(self) -> None:
        """Books what was spent since the last border to the innermost region."""
        now = self.meter()
        self.spent[self.open[-1]] += now - self.last
        self.last = now

    @contextmanager
    def region(self, name: str) -> Iterator[None]:
        """What is spent inside, and in no region within it, is `name`'s."""
        self.book()
        self.open.append(name)
        try:
            yield
        finally:
            self.book()
            self.open.pop()

    def rename(self, name: str) -> None:
        """From here on the innermost region is `name`: a border inside a backward pass."""
        self.book()
        self.open[-1] = name

    def watch(self, owner: Any, method: str, name: str, after: Callable[[Any], None] | None = None) -> None:
        """Makes a region of every call of `owner.method`; `after` sees its results. `leave` undoes it."""
        call = getattr(owner, method)

        @wraps(call)
        def watched(*arguments: Any, **named: Any) -> Any:
            with self.region(name):
                result = call(*arguments, **named)
            if after:
                after(result)
            return result

        self.undo.append((owner, method, vars(owner).get(method)))
        setattr(owner, method, watched)

    def leave(self) -> None:
        """Stops watching."""
        self.book()
        while self.undo:
            owner, method, own = self.undo.pop()
            delattr(owner, method)  # what is the class's own shows again
            if own is not None:
                setattr(owner, method, own)


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds, once the device has done what it was told."""

    def read() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


def counting() -> FlopCounterMode:
    """Counts the operations of every matrix product, convolution and attention, from the shapes of their operands."""
    forward, backward = (getattr(torch.ops.aten, f"{CPU_ATTENTION}{way}") for way in ("", "_backward"))
    own = {  # torch counts only the attention kernels of a GPU
        forward: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v),
        backward: lambda grad, q, k, v, *_, out_shape=None, **__: sdpa_backward_flop_count(grad, q, k, v),
    }
    return FlopCounterMode(display=False, custom_mapping=own)


def this_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def peak_memory(device: torch.device) -> float:
    """GiB: of the device since it was last reset; on a CPU, of the whole process since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB


def machine(device: torch.device) -> str:
    """What this ran on, for the page of figures."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"


def peak_rate(device: torch.device, given: float | None) -> float | None:
    """Peak TFLOP/s that utilisation is a share of: `given`, or the datasheet's of a GPU that PEAKS knows."""
    if given or device.type != "cuda":
        return given
    name = torch.cuda.get_device_name(device)
    return next((rate for part, rate in PEAKS.items() if part in name), None)


def table(head: tuple[str, ...], rows: list[tuple]) -> str:
    """A Markdown table; numbers with three digits that count."""
    cells = [head, tuple("---" for _ in head), *(tuple(map(show, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def show(value: Any) -> str:
    """A number as a table shows it."""
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return str(value)
