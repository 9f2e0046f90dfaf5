"""The training loop of a foundation: it runs for some minutes, averages the weights, and can go on after any stop.

The learning rate warms up, stays, and falls to zero over the last third of the minutes. What is exported are the
averaged weights, which are good at any moment, so that an export before the end is of use.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

LOG = logging.getLogger(__name__)
Model = TypeVar("Model", bound=nn.Module)
Data = TypeVar("Data")  # of one batch


@dataclass
class Loop(Generic[Model, Data]):
    """One training.

    Attributes:
        model: what is trained; throwaway heads included.
        loss: (model, batch) -> total and its parts.
        measure: model -> scores on held-out batches.
        export: writes the averaged model and its scores into the zoo.
        folder: holds state.pt, from which training goes on.
        minutes: of training in all, those before a stop included.
        rate: the peak learning rate.
        warmup: steps until the rate is reached.
        average: how much of the averaged weights a step keeps.
    """

    model: Model
    batches: Iterator[Data]
    loss: Callable[[Model, Data], tuple[Tensor, dict[str, Tensor]]]
    measure: Callable[[Model], dict[str, float]]
    export: Callable[[Model, dict[str, float]], None]
    folder: Path
    minutes: float
    rate: float
    warmup: int = 200
    average: float = 0.998
    every: int = 300  # seconds between exports

    def run(self) -> None:
        """Trains until the minutes are over; goes on from `folder` where it holds a state."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.rate, betas=(0.9, 0.98), weight_decay=0.01)
        averaged = copy.deepcopy(self.model).requires_grad_(False)
        step, spent = self.resume(optimizer, averaged)
        start = saved = time.monotonic()
        sums: dict[str, float] = {}
        while spent + (time.monotonic() - start) / 60 < self.minutes:
            part = (spent + (time.monotonic() - start) / 60) / self.minutes
            for group in optimizer.param_groups:
                group["lr"] = self.rate * min((step + 1) / self.warmup, 1.0, 3 * (1 - part) + 0.01)
            total, parts = self.loss(self.model, next(self.batches))
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            step += 1
            follow(averaged, self.model, min(self.average, (1 + step) / (20 + step)))
            for name, value in {"total": total, **parts}.items():
                sums[name] = sums.get(name, 0.0) + value.item() / 50
            if step % 50 == 0:
                minutes = spent + (time.monotonic() - start) / 60
                LOG.info("step %d %.1f min %s", step, minutes, " ".join(f"{k} {v:.3f}" for k, v in sums.items()))
                sums = {}
            if time.monotonic() - saved > self.every:
                saved = time.monotonic()
                self.save(optimizer, averaged, step, spent + (saved - start) / 60)
        self.save(optimizer, averaged, step, spent + (time.monotonic() - start) / 60)

    def save(self, optimizer: torch.optim.Optimizer, averaged: Model, step: int, minutes: float) -> None:
        """Measures, exports and keeps the state."""
        scores = self.measure(averaged) | {"steps": step, "minutes": round(minutes, 1)}
        LOG.info("scores %s", " ".join(f"{name} {value:.3f}" for name, value in scores.items()))
        self.export(averaged, scores)
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"model": self.model.state_dict(), "average": averaged.state_dict(), "step": step, "minutes": minutes}
        state["optimizer"] = optimizer.state_dict()
        torch.save(state, self.folder / "state.new")
        (self.folder / "state.new").rename(self.folder / "state.pt")

    def resume(self, optimizer: torch.optim.Optimizer, averaged: nn.Module) -> tuple[int, float]:
        """Loads the state in `folder`, if there is one; returns the steps and minutes that were trained before."""
        path = self.folder / "state.pt"
        if not path.is_file():
            return 0, 0.0
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        averaged.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        return state["step"], state["minutes"]


@torch.no_grad()
def follow(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    """Moves the averaged weights towards the model's."""
    pairs = zip(averaged.parameters(), model.parameters(), strict=True)
    ours, theirs = zip(*((a, b.detach()) for a, b in pairs), strict=True)
    torch._foreach_lerp_(ours, theirs, 1 - keep)  # pyright: ignore[reportPrivateImportUsage]  # no public name
    for a, b in zip(averaged.buffers(), model.buffers(), strict=True):
        a.copy_(b)
