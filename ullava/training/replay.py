"""Shows the samples of a step that a run stopped at: what each holds, and its losses by the run's last weights.

The samples are made again from their places in the mixture, and by the run's own config.yaml; what they were is not
kept anywhere.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch

from ullava.configs.load import load
from ullava.configs.schema import RunConfig
from ullava.datasets.structures import Dialogue
from ullava.models.assembly import PRECISIONS, Assembled, assemble
from ullava.models.batching.collator import Collator
from ullava.models.batching.example import Example
from ullava.models.folders import checkpoints
from ullava.models.folders.manifest import known
from ullava.training.bad_samples import quarantine
from ullava.training.preflight import open_mixture
from ullava.training.saving import last_checkpoint
from ullava.training.train import choose
from ullava.training.train_dataset import TrainDataset


def replay(file: Path) -> Iterator[str]:
    """Yields lines about every sample of the step in `file`.

    Raises:
        ValueError: the file is not one of a run, or its run's folder lacks what it needs.
    """
    try:
        fault = json.loads(file.read_text())
        places = [
            (batch["rank"], *entry)
            for batch in fault["batches"]
            for entry in zip(batch["ids"], batch["places"], strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: expected RUN/faults/step-N.json, as a stopped run writes it ({error})") from error
    config = load(file.parents[1] / "config.yaml", RunConfig)
    mixture, last = open_mixture(config), last_checkpoint(file.parents[1])
    assembled = recall(config, last)
    rows = TrainDataset(mixture, assembled.processor, quarantine(config, mixture))
    yield f"step {fault['step']}, gradient norm {fault['gradient_norm']}; weights of {last or 'the beginning'}"
    for rank, name, (epoch, position) in places:
        dialogue, row = rows.write((epoch, position))
        if dialogue.id != name:
            raise ValueError(
                f"{file}: {name} stood at {(epoch, position)}, now {dialogue.id} does; the data has changed"
            )
        yield f"\n{name}  (rank {rank}, epoch {epoch}, position {position})"
        yield from dialogue_lines(dialogue)
        most, count = config.training.max_length, row.supervised.sum()
        yield f"  tokens    {len(row.input_ids)} of at most {most}, {count} supervised"
        losses = measure(assembled, row, config.training.precision)
        yield "  losses    " + ", ".join(f"{term} {value:.4g}" for term, value in losses.items())


def recall(config: RunConfig, last: Path | None) -> Assembled:
    """Assembles the network with the weights that the run saved last."""
    assembled = assemble(
        config.model, losses=config.losses, precision=config.training.precision,
        max_length=config.training.max_length, seed=config.training.seed,
    )  # fmt: skip
    choose(assembled, config)
    if last:
        checkpoints.load_learned(assembled.model, known(last))
    assembled.model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    return assembled


@torch.no_grad()
def measure(assembled: Assembled, row: Example, precision: str) -> dict[str, float]:
    """Computes every loss term of one row by itself."""
    model, kind = assembled.model, PRECISIONS[precision]
    pad_id = cast(int, assembled.processor.tokenizer.pad_token_id)  # the library types all special tokens together
    batch = Collator(pad_id, model.tokens)([row]).to(model.llm.device)
    with torch.autocast(model.llm.device.type, dtype=kind, enabled=kind != torch.float32):
        return {name: float(part) for name, part in model(batch).parts.items()}


def dialogue_lines(dialogue: Dialogue) -> Iterator[str]:
    """Yields lines about a dialogue's media, turns and promises."""
    for medium in dialogue.sample.media:
        yield f"  shows     {medium.path}"
    for number, turn in enumerate(dialogue.turns):
        yield f"  turn {number:<4} {turn.question!r}"
        yield f"            {turn.answer!r}"
    for promise in dialogue.promises:
        yield f"  promises  {promise.token} in turn {promise.turn}: {extent(promise.region)}"


def extent(region: Any) -> str:
    """Describes a region by its name, the size of its mask, and its box."""
    parts = [f"{region.category or region.phrases[:1]}"]
    if region.mask is not None:
        mask = region.mask.draw()
        parts.append(f"mask of {mask.sum():,} in {mask.shape[0]} x {mask.shape[1]} pixels (H x W)")
    if region.box is not None:
        parts.append("box " + " ".join(f"{edge:g}" for edge in region.box))
    return ", ".join(parts)
