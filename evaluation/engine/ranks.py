"""The processes that evaluate together: who we are, and everybody's results in one list.

Without torchrun there is one of us. torch is asked only where somebody has loaded it: baselines and scores need none.
"""

import os
import sys
from typing import TypeVar

T = TypeVar("T")


def place() -> tuple[int, int]:
    """Returns (rank, world): (0, 1) outside a process group."""
    group = process_group()
    return (group.get_rank(), group.get_world_size()) if group else (0, 1)


def gather(items: list[T]) -> list[T]:
    """The items of all ranks, rank by rank, on every rank."""
    group = process_group()
    if group is None:
        return items
    parts: list[list[T]] = [[] for _ in range(group.get_world_size())]
    group.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def join() -> None:
    """Joins the process group that torchrun describes, each rank on its own GPU; nothing to do for a single process."""
    import torch

    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or torch.distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def process_group():
    """torch.distributed where a group is running, else None."""
    torch = sys.modules.get("torch")
    group = getattr(torch, "distributed", None)
    return group if group and group.is_available() and group.is_initialized() else None
