"""What ends a run in the middle, and what it says then: losses that are no numbers, memory, data workers.

A step's batches are remembered as names and sizes, so that a fault can be traced to the samples that it met.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ullava.configs.schema import TrainingConfig
from ullava.evaluation.engine import ranks
from ullava.models.batching.batch import Batch
from ullava.training.saving import replace

FOLDER = "faults"
OUT_OF_MEMORY = ("DefaultCPUAllocator",)  # how torch says it of a CPU's memory
LOST_WORKER = "DataLoader worker (pid"  # how torch says that a data worker is gone


class RunError(ValueError):
    """A run cannot go on; the message says why, and what to change."""


@dataclass(frozen=True, slots=True)
class Fed:
    """What a batch was: samples, their (epoch, position), (rows, tokens of the longest), pictures, masks."""

    ids: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    pictures: int
    masks: int

    @classmethod
    def of(cls, batch: Batch) -> "Fed":
        """Describes a batch; keeps no tensor and reads none from the device."""
        videos = 0 if batch.videos is None else batch.videos.pixels.shape[:2].numel()
        pictures = videos + (0 if batch.pictures is None else len(batch.pictures.pixels))
        masks = sum(len(promised.masks) for promised in batch.promised.values())
        rows, tokens = batch.input_ids.shape
        places = tuple(place for place in batch.places if place is not None)  # a training's rows all have one
        return cls(batch.ids, places, (rows, tokens), pictures, masks)

    def __str__(self) -> str:
        rows, tokens = self.size
        return f"a batch of {rows} rows, the longest of {tokens} tokens, {self.pictures} pictures, {self.masks} masks"


class LossWatch:
    """Remembers what the running optimizer step was fed, and what came of it.

    Attributes:
        at: number of the batch that is computed now; -1 before the first.
    """

    def __init__(self):
        self.fed: list[Fed] = []
        self.parts: list[Mapping[str, Tensor]] = []
        self.at = -1

    def begin(self, batches: Sequence[Batch]) -> None:
        """Begins a step."""
        self.fed, self.parts, self.at = [Fed.of(batch) for batch in batches], [], -1

    def go_on(self) -> None:
        """Begins the next batch of the step."""
        self.at += 1

    def judge(self, norm: float | Tensor | None, *, step: int, folder: Path, scaled: bool) -> None:
        """Stops the run before an update that is not finite.

        One number a step is read from the device, where the update waits for it anyway: the norm is not finite when any
        loss or gradient of any rank is not.

        Args:
            norm: of all gradients, the same on all ranks; None where nobody knows it.
            scaled: a scaler skips steps of which the gradients overflow (fp16).

        Raises:
            RunError: names the samples and the file that lists them.
        """
        if norm is None or math.isfinite(norm := float(norm)):
            return
        mine = [{name: float(part) for name, part in parts.items()} for parts in self.parts]
        finite = all(ranks.gather([all(math.isfinite(value) for parts in mine for value in parts.values())]))
        if not is_fault(norm, loss_is_finite=finite, scaled=scaled):
            return
        rank = ranks.place()[0]
        batches = ranks.gather([
            {"rank": rank, "ids": fed.ids, "places": fed.places, "losses": parts}
            for fed, parts in zip(self.fed, mine, strict=True)
        ])  # fmt: skip
        path = folder / FOLDER / f"step-{step}.json"
        if rank == 0:
            path.parent.mkdir(exist_ok=True)
            replace(path, json.dumps({"step": step, "gradient_norm": norm, "batches": batches}, indent=2))
        raise RunError(step_message(path, step, batches, norm))


def is_fault(norm: float, *, loss_is_finite: bool, scaled: bool) -> bool:
    """Whether a step must not be taken; gradients that overflow half precision are for the scaler to skip."""
    return not math.isfinite(norm) and not (scaled and loss_is_finite)


def step_message(path: Path, step: int, batches: Sequence[Mapping[str, Any]], norm: float) -> str:
    """Writes the message about a step that was not taken."""
    names = sorted({n for batch in batches for n, value in batch["losses"].items() if not math.isfinite(value)})
    what = f"the loss term {', '.join(names)} is" if names else "the losses are finite, but their gradients are"
    ids = [name for batch in batches for name in batch["ids"]]
    shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    return (
        f"step {step}: expected finite numbers, but {what} not (gradient norm {norm}); the step was not taken. Its "
        f"samples: {shown}. See each of them: ullava check --replay {path}. If they are sound, lower the rates in "
        "`learn:`, or take training.precision=bf16 or fp32, and the same command goes on from the last checkpoint"
    )


@contextmanager
def explained(watch: LossWatch, how: TrainingConfig, *, evaluating: Any) -> Iterator[None]:
    """Turns a lack of memory or a lost data worker into an error that says what the user can change.

    Args:
        evaluating: called when it happened; whether an evaluation was running.

    Raises:
        RunError: with the keys to change.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in first for words in OUT_OF_MEMORY):
            raise RunError(out_of_memory(watch, how, first, evaluating=evaluating())) from error
        if LOST_WORKER in str(error):
            raise RunError(
                f"a data worker has died ({first}); most often the machine's memory or /dev/shm is used up: lower "
                f"training.workers ({how.workers}); the same command goes on from the last checkpoint"
            ) from error
        raise


def out_of_memory(watch: LossWatch, how: TrainingConfig, cause: str, *, evaluating: bool) -> str:
    """Writes the message about a lack of memory: what was too large, and the keys that make it smaller."""
    if evaluating:
        return f"out of memory in an evaluation ({cause}); lower generation.batch_size; the step before it is saved"
    what = str(watch.fed[max(watch.at, 0)]) if watch.fed else "no batch yet"
    keys = [f"lower training.batch_size ({how.batch_size}) and raise training.accumulate ({how.accumulate}) by as much"]
    keys += [f"lower training.max_length ({how.max_length})"]
    keys += [] if how.gradient_checkpointing else ["set training.gradient_checkpointing=true"]
    return f"out of memory at {what} ({cause}); {', or '.join(keys)}; the same command goes on from the last checkpoint"


def fp16_warning(settings: Mapping[str, Any]) -> str | None:
    """Why a language model should not be trained in fp16; None where nothing speaks against it.

    Args:
        settings: its config.json.
    """
    kind, reach = settings.get("model_type"), settings.get("max_position_embeddings", 0)
    saved = str(settings.get("dtype") or settings.get("torch_dtype")).removeprefix("torch.")
    if kind == "llama" and reach == 4096:  # LLaMA and Vicuna of the first kind reach 2048
        reason = "a LLaMA-2, whose states overflow half precision"
    elif saved == "bfloat16":
        reason = "saved in bfloat16, whose range fp16 has not"
    else:
        return None
    return f"training.precision: fp16, but model.llm is {reason}; take bf16 where the GPU has it"
