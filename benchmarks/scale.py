"""What several processes bring, what memory `ullava plan` foresees, and how well it does.

    python benchmarks/scale.py speed            one process against two, the same eight rows a step
    python benchmarks/scale.py memory           peaks of training steps on the CPU, beside the plan's
    python benchmarks/scale.py plans            7B and 13B on 1, 4 and 8 GPUs, by ZeRO stage

Every figure comes from processes of its own. A peak is what a process holds at most, less what it held when its
libraries were loaded; rows are as long as `max_length`, as the plan has it.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ullava.configs.load import CONFIGS, load
from ullava.configs.messages import run_command
from ullava.configs.schema import RunConfig

SHAPES = {  # width and layers of the language model; width and layers of SAM's encoder
    "small": (512, 8, 384, 4),
    "middle": (1024, 12, 512, 6),
}
CASES = [  # shape, rows, key=value over the recipe of stage II with LoRA
    ("small", 4, ()),
    ("small", 4, ("training.gradient_checkpointing=true",)),
    ("small", 16, ()),
    ("small", 16, ("training.precision=bf16",)),
    ("small", 16, ("model.lora=null", "learn.llm=1e-4")),
    ("middle", 4, ()),
    ("middle", 4, ("training.gradient_checkpointing=true",)),
]
PROMISES = 3  # of a row, as benchmarks/sizes.py draws them


def bench(shape: str, rows: int, changes: Sequence[str], folder: Path):
    """(configuration, network with optimizer) of a measured case; rows fill `max_length`."""
    import torch

    from benchmarks.sizes import SIZES, Size, recipe, samples
    from benchmarks.train_step import prepare
    from ullava.models.tiny import tiny_clip, tiny_llm, tiny_sam

    size = SIZES["tiny"]
    if shape in SHAPES:
        width, deep, wide, encoder = SHAPES[shape]
        made = (
            tiny_llm(8192, width=width, layers=deep).config, tiny_clip(width=256).config,
            tiny_sam(width=wide, layers=encoder, channels=128).config,
        )  # fmt: skip
        size = Size(lambda: made, (96, 128), SIZES["tiny"].settings)
    config = recipe(size, 2, folder, [f"training.batch_size={rows}", *changes])
    if config.model.lora is None:
        config = config.model_copy(update={"learn": {k: v for k, v in config.learn.items() if k != "lora"}})
    made = prepare(config, 2, samples(size, folder), torch.device("cpu"))
    length = made.make_batch(rows).input_ids.shape[1]
    config = config.model_copy(update={"training": config.training.model_copy(update={"max_length": length})})
    return config, made


def measure(shape: str, rows: int, changes: Sequence[str]) -> None:
    """Prints one case's peak and its plan's, in MiB, as JSON; in a process of its own."""
    import torch

    from ullava.memory.memory import GIB, Cluster, blueprint, estimate_memory
    from ullava.memory.plan import with_way

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        bench("tiny", 1, (), Path(name, "loaded"))  # every library is loaded, and has allocated what it keeps
        before = resident()
        config, made = bench(shape, rows, changes, Path(name, "measured"))
        for _ in range(2):
            made.step(made.make_batch(rows))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        network, _ = blueprint(config)
        parts = estimate_memory(network, with_way(config, None), Cluster(1, 1, cpu=True), PROMISES)
    foreseen = sum(parts.values()) / GIB
    learned = sum(p.numel() for p in network.parameters() if p.requires_grad)
    print(json.dumps({"peak": peak / GIB, "plan": foreseen, "learned": learned, "length": config.training.max_length}))


def resident() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory() -> Iterator[str]:
    """Peaks beside plans."""
    yield "| network | rows | changed | learns | tokens a row | measured GiB | planned GiB | planned / measured |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for shape, rows, changes in CASES:
        said = json.loads(child("measure", shape, str(rows), *changes).splitlines()[-1])
        named = ", ".join(change.removeprefix("training.") for change in changes) or "-"
        ratio = said["plan"] / said["peak"]
        yield (f"| {shape} | {rows} | {named} | {said['learned'] / 1e6:.0f}M | {said['length']} | {said['peak']:.2f} | "
               f"{said['plan']:.2f} | {ratio:.2f} |")  # fmt: skip


def race(steps: int) -> None:
    """Prints the samples a second of this process and its fellows, from rank 0."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.distributed.init_process_group("gloo")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        _, made = bench("tiny", 8 // world, (), Path(name))
        if world > 1:
            made.model = DistributedDataParallel(made.model)
        batches = [made.make_batch(8 // world) for _ in range(2)]
        for batch in batches:
            made.step(batch)
        torch.distributed.barrier()
        began = time.perf_counter()
        for number in range(steps):
            made.step(batches[number % 2])
        torch.distributed.barrier()
        spent = time.perf_counter() - began
    if rank == 0:
        print(json.dumps(8 * steps / spent))
    torch.distributed.destroy_process_group()


def speed(steps: int = 10, rounds: int = 3) -> Iterator[str]:
    """One process against two: the best of some rounds each, in turns."""
    best = {1: 0.0, 2: 0.0}
    for _ in range(rounds):
        for world in best:
            best[world] = max(best[world], json.loads(child("race", str(steps), world=world).splitlines()[-1]))
    yield f"{len(os.sched_getaffinity(0))} cores, a thread a process; tiny stage II with LoRA, fp32, eight rows a step"
    yield ""
    yield "| processes | samples/s | of one |"
    yield "| --- | --- | --- |"
    for world, found in best.items():
        yield f"| {world} | {found:.2f} | {found / best[1]:.2f} |"


def child(*arguments: str, world: int = 1) -> str:
    """What rank 0 of `world` processes of this program says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    command, shared = [sys.executable, __file__, *arguments], os.environ | place | {"OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(command, env=shared | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    said = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        raise RuntimeError(f"{' '.join(arguments)}: ended with {[rank.returncode for rank in ranks]}")
    return said[0]


def plans(rows: int = 8) -> Iterator[str]:
    """GiB on each GPU for the shipped recipes of stage II."""
    from ullava.memory.memory import Cluster, blueprint, estimate_memory, total
    from ullava.memory.plan import WAYS, with_way

    yield "| recipe | GPUs | " + " | ".join(WAYS) + " |"
    yield "| --- | --- |" + " --- |" * len(WAYS)
    for name in ("ullava_stage2_lora", "ullava_stage2"):
        config = load(CONFIGS / "train" / f"{name}.yaml", RunConfig, [f"training.batch_size={rows}"])
        for size in ("7b", "13b"):
            network, _ = blueprint(config, size)
            for count in (1, 4, 8):
                cells = [
                    estimate_memory(network, with_way(config, way), Cluster(count, 80), PROMISES)
                    for way in WAYS.values()
                ]
                said = " | ".join(f"{total(parts):.1f}" + host(parts["host"]) for parts in cells)
                yield f"| {name.removeprefix('ullava_')}, {size} | {count} | {said} |"


def host(held: float) -> str:
    """What is on the CPU instead."""
    return f" (+{held / 2**30:.0f} on the host)" if held else ""


def main(arguments: Sequence[str]) -> None:
    """Prints the figures of one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["speed", "memory", "plans", "race", "measure"], help="two are its own")
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part == "race":
        race(int(options.rest[0]))
    elif options.part == "measure":
        measure(options.rest[0], int(options.rest[1]), options.rest[2:])
    else:
        for line in {"speed": speed, "memory": memory, "plans": plans}[options.part]():
            print(line, flush=True)


if __name__ == "__main__":
    run_command(main)
