"""log.jsonl: a line for every log, the same whether a run was interrupted or not."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class Log(TrainerCallback):
    """Writes log.jsonl: one line per log, as a run that was never interrupted would have."""

    def __init__(self, trainer: Any, path: Path):
        self.trainer, self.path = trainer, path

    def on_train_begin(self, args, state, control, **_: Any) -> None:
        """Drops lines of steps that a resumed run will do again."""
        self.trainer._resumed_step = state.global_step
        if state.is_world_process_zero and self.path.is_file():
            lines = self.path.read_text().splitlines()
            lines = [line for line in lines if json.loads(line)["step"] <= state.global_step]
            self.path.write_text("".join(f"{line}\n" for line in lines))

    def on_epoch_begin(self, args, state, control, **_: Any) -> None:
        """Tells the sampler the time, whatever wraps it."""
        self.trainer.places.set_epoch(int(state.epoch or 0))

    def on_log(self, args, state, control, logs: dict[str, float] | None = None, **_: Any) -> None:
        """One line."""
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, "epoch": state.epoch} | logs) + "\n")
