"""How fast a model answers, in batches of several sizes, and how much of it re-reading the answers costs.

    python benchmarks/generate.py --size tiny
    python benchmarks/generate.py --size 7b --batches 1 4 16 64 generation.max_new_tokens=64

Weights are random: no answer ends before its last word, and each is made to hold one [SEG] and one [LOC], so that every
answer has a mask and a box. Questions and pictures are the same for all batch sizes, and no feature comes from a cache.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.ledger import Ledger, clock, machine, peak_memory, show, table, this_device
from benchmarks.sizes import PICTURES, SIZES, recipe, samples
from ullava.configs.messages import run_command
from ullava.configs.schema import RunConfig
from ullava.datasets.structures import Dialogue
from ullava.models.answering import Answerer, cast
from ullava.models.assembly import Assembled, assemble
from ullava.models.backbones.base import Generated
from ullava.tasks.base import TASKS

WORDS = 24  # of an answer with a mask and a box: "Sure, it is the small red cup. Mask: [SEG]; Location: [LOC]."


@dataclass(slots=True)
class Figures:
    """One batch size: seconds for all questions, one number a round; GiB; seconds of each part in one more round."""

    rounds: list[float]
    memory: float
    spent: dict[str, float]


def open_network(config: RunConfig, device: torch.device) -> Assembled:
    """The recipe's network, with random weights, in the precision in which it answers."""
    with device:
        assembled = assemble(config.model, precision=config.generation.precision, max_length=config.training.max_length)
    cast(assembled, config.generation.precision)
    return assembled


def endless(answerer: Answerer) -> Answerer:
    """Makes every answer as long as it may be, and its last words one of each owner token."""
    with torch.no_grad():  # a logit of zero is never the highest: no answer ends early
        answerer.model.llm.get_output_embeddings().weight[answerer.stop_ids] = 0
    generate = answerer.generate

    def say_tokens(prompt: Any) -> Generated:
        said = generate(prompt)
        for place, token in enumerate(answerer.ids.values(), 1):
            said.ids[:, -place] = token
        return said

    answerer.generate = say_tokens
    return answerer


def open_answerer(config: RunConfig, device: torch.device) -> Answerer:
    """The recipe's network as it answers, without a memory of pictures."""
    answerer = endless(Answerer(open_network(config, device), config.generation))
    for tower in answerer.model.towers.values():
        tower.remember(0)
    return answerer


def questions(found: list, count: int) -> list[Dialogue]:
    """Exams of referring segmentation, of several pictures."""
    task = TASKS.build("res", {"says": ["SEG", "LOC"]})
    asked = [exam for sample in found for exam in islice(task.eval_dialogues(sample), max(1, count // PICTURES))]
    return asked[:count]


def ask(answerer: Answerer, asked: Sequence[Dialogue], size: int) -> None:
    """All questions, in batches."""
    for start in range(0, len(asked), size):
        answerer(asked[start : start + size])


def watch(answerer: Answerer, ledger: Ledger) -> None:
    """Opens a region for every part of an answer."""
    model = answerer.model
    ledger.watch(answerer, "generate_and_read", "texts")
    ledger.watch(answerer, "collate_open", "data")
    ledger.watch(model.vision, "encode", "vision tower")
    ledger.watch(model.backbone, "embed", "embeddings, projector")
    ledger.watch(answerer, "generate", "words (LLM, greedy)")
    ledger.watch(answerer, "reread", "re-reading")
    ledger.watch(answerer, "predict", "heads")
    for head in model.heads.values():
        if hasattr(head, "tower"):
            ledger.watch(head.tower, "encode", "SAM encoder")


def measure(
    answerer: Answerer, asked: Sequence[Dialogue], sizes: Sequence[int], device: torch.device, rounds: int
) -> dict[int, Figures]:
    """Rounds of all batch sizes in turns, so that what else the machine does slows all alike; then the parts."""
    now, found = clock(device), {size: Figures([], 0.0, {}) for size in sizes}
    for size in sizes:
        ask(answerer, asked[:size], size)
    for size, figures in list(found.items()) * rounds:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = now()
        ask(answerer, asked, size)
        figures.rounds.append(now() - began)
        figures.memory = peak_memory(device)
    for size, figures in found.items():
        ledger = Ledger(now, outside="data")
        watch(answerer, ledger)
        ask(answerer, asked, size)
        ledger.leave()
        figures.spent = dict(ledger.spent)
    return found


def report(figures: dict[int, Figures], count: int, words: int) -> str:
    """Throughput by batch size, and the parts' shares, as Markdown."""
    medians = {size: median(each.rounds) for size, each in figures.items()}
    least = figures[min(figures)].rounds
    speed = [
        (size, count / medians[size], count * words / medians[size],
         median(few / many for few, many in zip(least, each.rounds, strict=True)), each.memory,
         f"{each.spent['re-reading'] / sum(each.spent.values()):.1%}", ", ".join(map(show, each.rounds)))
        for size, each in figures.items()
    ]  # fmt: skip
    head = ("batch", "questions/s", "tokens/s", f"times batch {min(figures)}", "peak GiB", "re-reading", "rounds, s")
    largest = figures[max(figures)].spent
    shares = [
        (part, *(f"{each.spent[part] / sum(each.spent.values()):.1%}" for each in figures.values()))
        for part in sorted(largest, key=largest.get, reverse=True)
    ]
    return f"{table(head, speed)}\n\n{table(('part', *(f'batch {size}' for size in figures)), shares)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one page of figures."""
    options = parse(arguments)
    device, size = this_device(), SIZES[options.size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        precision = "bf16" if device.type == "cuda" else "fp32"
        settings = [f"generation.precision={precision}", f"generation.max_new_tokens={WORDS}", *options.overrides]
        config = recipe(size, 2, folder, settings)
        answerer, asked = open_answerer(config, device), questions(samples(size, folder), options.questions)
        words = config.generation.max_new_tokens
        print(f"generate --size {options.size}: {machine(device)}, {config.generation.precision}, "
              f"{len(asked)} questions, {words} tokens an answer\n")  # fmt: skip
        figures = measure(answerer, asked, sorted(set(options.batches)), device, options.rounds)
        print(report(figures, len(asked), words))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="tiny", help="default: %(default)s")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16], help="default: 1 4 16")
    parser.add_argument("--questions", type=int, default=16, help="of 16 pictures, 48 at most; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="over the recipe of stage II")
    options = parser.parse_intermixed_args(arguments)
    if min(*options.batches, options.questions, options.rounds) < 1:
        parser.error("--batches, --questions, --rounds: expected 1 or more")
    return options


if __name__ == "__main__":
    run_command(main)
