"""How fast a stage trains, how much memory it takes, and which part spends it.

    python benchmarks/train_step.py --size tiny --stage 2 --batch 8
    python benchmarks/train_step.py --size 7b --stage 2 --batch auto        one GPU, the batch that fills it
    python benchmarks/train_step.py --size 7b --stage 1 training.gradient_checkpointing=false

Weights are random, pictures drawn, recipe and code those of training (configs/train). Throughput is measured over
steps that nothing interrupts, on batches made ahead, as workers do; the parts' shares in steps of their own, where
every border waits for the device; floating-point operations by counting those of every operator in one more step.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.ledger import Ledger, clock, counting, machine, peak_memory, peak_rate, show, table, this_device
from benchmarks.sizes import SIZES, dialogues, recipe, samples
from ullava.configs.messages import run_command
from ullava.configs.schema import RunConfig
from ullava.models.assembly import PRECISIONS, assemble
from ullava.models.batching.batch import Batch
from ullava.models.batching.collator import Collator
from ullava.training.train import choose

FULL = 0.92  # of a card's memory: what `--batch auto` fills
BACKWARD = "LLM, backward"


@dataclass(slots=True)
class Bench:
    """A stage, ready to take steps on its device."""

    config: RunConfig
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    make_batch: Callable[[int], Batch]
    device: torch.device

    def step(self, batch: Batch, ledger: Ledger | None = None) -> None:
        """One optimizer step, in the order of the Trainer's."""
        region = ledger.region if ledger else lambda _: nullcontext()
        with region("transfer"):
            batch = batch.to(self.device)
        dtype = PRECISIONS[self.config.training.precision]
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            losses = self.model(batch)
        with region("heads and losses, backward"):
            losses.total.backward()
        with region("optimizer"):
            learning = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(learning, self.config.training.max_grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()

    def watch(self, ledger: Ledger) -> None:
        """Opens a region for every part of the forward pass, and splits the backward pass where the heads end."""
        model = self.model

        def split(output) -> None:
            if output.last_hidden_state.requires_grad:
                output.last_hidden_state.register_hook(lambda gradient: ledger.rename(BACKWARD))

        ledger.watch(model.backbone, "embed", "embeddings, projector")
        ledger.watch(model.vision, "encode", "vision tower")
        ledger.watch(model.backbone.decoder, "forward", "LLM", after=split)
        ledger.watch(model, "lm_loss", "LM head")
        for name, head in model.heads.items():
            ledger.watch(head, "forward", f"{name} head")
            ledger.watch(head, "losses", f"{name} losses")
            if hasattr(head, "tower"):
                ledger.watch(head.tower, "encode", "SAM encoder")


def prepare(config: RunConfig, stage: int, found: list, device: torch.device) -> Bench:
    """The stage's network on its device, its optimizer, and what makes batches."""
    with device:
        assembled = assemble(
            config.model, losses=config.losses, precision=config.training.precision,
            max_length=config.training.max_length,
        )  # fmt: skip
        groups, _ = choose(assembled, config)
    for tower in assembled.model.towers.values():
        tower.remember(0)  # an epoch shows every picture once
    model = assembled.model.to(device).train()
    optimizer = torch.optim.AdamW(groups, fused=device.type == "cuda")
    collate = Collator(assembled.processor.tokenizer.pad_token_id, model.tokens)
    rows = map(assembled.processor, dialogues(found, stage))
    return Bench(config, model, optimizer, lambda size: collate(list(islice(rows, size))), device)


def throughput(bench: Bench, size: int, steps: int, rounds: int = 3) -> list[float]:
    """Seconds a step, one number a round; two steps to warm up."""
    batches, now, found = [bench.make_batch(size) for _ in range(2)], clock(bench.device), []
    for batch in batches:
        bench.step(batch)
    for _ in range(rounds):
        began = now()
        for number in range(steps):
            bench.step(batches[number % 2])
        found.append((now() - began) / steps)
    return sorted(found)


def measure(bench: Bench, size: int, steps: int, meter: Callable[[], float]) -> dict[str, float]:
    """What each part spends in a step, in the meter's unit; the data are made by one process."""
    ledger = Ledger(meter)
    bench.watch(ledger)
    for _ in range(steps):
        with ledger.region("data"):
            batch = bench.make_batch(size)
        bench.step(batch, ledger)
    ledger.leave()
    return {part: spent / steps for part, spent in ledger.spent.items()}


def operations(bench: Bench, size: int) -> dict[str, float]:
    """TFLOP of each part in a step."""
    with counting() as counter:
        return measure(bench, size, 1, lambda: counter.get_total_flops() / 1e12)


def fill(bench: Bench) -> int:
    """The batch that fills the card: from the memory of two small ones, then a tenth less until it fits."""
    if bench.device.type != "cuda":
        raise ValueError("--batch auto: fills a GPU, and none is here; name a number")

    def gigabytes(size: int) -> float:
        torch.cuda.reset_peak_memory_stats(bench.device)
        bench.step(bench.make_batch(size))
        return peak_memory(bench.device)

    gigabytes(1)  # the optimizer's moments are there from now on
    few, more = gigabytes(2), gigabytes(6)
    room = FULL * torch.cuda.get_device_properties(bench.device).total_memory / 2**30
    size = max(int((room - few) / max((more - few) / 4, 1e-6)) + 2, 1)
    while size > 1:
        try:
            gigabytes(size)
            return size
        except torch.OutOfMemoryError:
            bench.optimizer.zero_grad()
        torch.cuda.empty_cache()
        size = size * 9 // 10
    return size


def report(bench: Bench, size: int, steps: int, peak: float | None) -> str:
    """All figures of one batch size, as Markdown."""
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(bench.device)
    rounds = throughput(bench, size, steps)
    seconds, memory = rounds[len(rounds) // 2], peak_memory(bench.device)
    tokens = int(bench.make_batch(size).attention_mask.sum())
    spent, flops = measure(bench, size, steps, clock(bench.device)), operations(bench, size)
    data, whole = spent.pop("data"), sum(spent.values())
    rows = [(name, 1000 * s, f"{s / whole:.0%}", flops[name], flops[name] / s) for name, s in spent.items()]
    lines = [
        table(("part", "ms a step", "share", "TFLOP", "TFLOP/s"), sorted(rows, key=lambda row: -row[1])),
        "",
        f"- batch {size}: {show(size / seconds)} samples/s, {show(tokens / seconds)} tokens/s "
        f"({tokens // size} a sample); {show(1000 * seconds)} ms a step (rounds {', '.join(map(show, rounds))} s)",
        f"- data: {show(1000 * data / size)} ms a sample in one process, {data / (data + whole):.0%} of a step that "
        f"waits for it; {math.ceil(data / seconds)} worker(s) keep up",
        f"- peak memory: {memory:.2f} GiB" + (" of the process" if bench.device.type == "cpu" else ""),
        utilisation(bench, flops, seconds, peak),
    ]
    return "\n".join(lines)


def utilisation(bench: Bench, flops: dict[str, float], seconds: float, peak: float | None) -> str:
    """Operations a second as a share of the peak; what checkpointing does twice is counted once."""
    executed = sum(flops.values())
    needed = executed - (flops["LLM"] if bench.config.training.gradient_checkpointing else 0)
    line = f"- {show(needed)} TFLOP a step ({show(executed)} executed), {show(needed / seconds)} TFLOP/s"
    return line + (f": {needed / seconds / peak:.1%} of {peak:g} TFLOP/s" if peak else "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one page of figures."""
    options = parse(arguments)
    began, device, size = time.perf_counter(), this_device(), SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = recipe(size, options.stage, folder, options.overrides)
        bench = prepare(config, options.stage, samples(size, folder), device)
        batch = fill(bench) if options.batch == "auto" else int(options.batch)
        how = config.training
        print(f"train_step --size {options.size} --stage {options.stage}: {machine(device)}, {how.precision}, "
              f"checkpointing {'on' if how.gradient_checkpointing else 'off'}\n")  # fmt: skip
        print(report(bench, batch, options.steps, peak_rate(device, options.peak)))
    print(f"- measured in {time.perf_counter() - began:.0f} s")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="tiny", help="default: %(default)s")
    parser.add_argument("--stage", type=int, choices=(1, 2), default=2, help="2 is with LoRA; default: %(default)s")
    parser.add_argument("--batch", default="8", help="a number, or auto: the batch that fills the GPU; default: 8")
    parser.add_argument("--steps", type=int, default=5, help="a round, of which there are 3; default: %(default)s")
    parser.add_argument("--peak", type=float, help="TFLOP/s that utilisation is a share of; default: the datasheet's")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="over the recipe")
    options = parser.parse_intermixed_args(arguments)
    if options.batch != "auto" and not (options.batch.isdecimal() and int(options.batch)):
        parser.error(f"--batch: expected a number or auto, found {options.batch!r}")
    return options


if __name__ == "__main__":
    run_command(main)
