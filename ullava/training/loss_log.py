"""The loss terms between two lines of the log."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


class LossLog:
    """Sums of every loss term on this rank since the log's last line; they go with a checkpoint."""

    def __init__(self):
        self.sums: dict[str, Tensor] = {}
        self.since = 0  # the step of the last line

    def begin(self, step: int) -> None:
        """Starts the sums after the log's line of `step`."""
        self.since = step

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Adds one batch's terms, on the device."""
        for name, part in parts.items():
            self.sums[name] = self.sums[name] + part.detach() if name in self.sums else part.detach().clone()

    def means(self, step: int, add_ranks: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The mean of each term over the steps since the last line, which is now `step`'s."""
        if not self.sums:
            return {}
        totals = add_ranks(torch.stack(list(self.sums.values()))) / max(step - self.since, 1)
        means = dict(zip(self.sums, totals.tolist(), strict=True))
        self.sums, self.since = {}, step
        return means

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"sums": self.sums, "since": self.since}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Inverse of `state`."""
        self.sums, self.since = {name: term.to(device) for name, term in state["sums"].items()}, state["since"]
