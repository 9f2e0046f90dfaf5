"""log.jsonl: a line for every log, the same to the last byte whether a run was interrupted or not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ullava.training.saving import replace


class Log(TrainerCallback):
    """Writes log.jsonl. What it held at a checkpoint is known from the checkpoint, so that a torn line does no harm."""

    def __init__(self, path: Path):
        self.path = path

    def on_train_begin(self, args, state, control, **_: Any) -> None:
        """Begins the file as it was when the checkpoint was written."""
        if state.is_world_process_zero:
            with written(self.path):
                replace(self.path, "".join(map(line, filter(kept, state.log_history))))

    def on_log(self, args, state, control, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Writes one line."""
        if state.is_world_process_zero and logs and kept(logs):
            with written(self.path), self.path.open("a") as file:
                file.write(line(logs | {"step": state.global_step, "epoch": state.epoch}))


class written:
    """Says which file could not be written, and how to go on."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            raise OSError(
                f"{self.path}: cannot be written ({error.strerror}); make room on the disk, and the same command goes "
                "on from the last checkpoint"
            ) from error


def kept(logs: Mapping[str, float]) -> bool:
    """Whether a log entry is written: all but the Trainer's last one, which holds times."""
    return "train_runtime" not in logs


def line(logs: Mapping[str, Any]) -> str:
    """A log as text: step, epoch, and the rest by name."""
    rest = {name: logs[name] for name in sorted(logs) if name not in ("step", "epoch")}
    return json.dumps({"step": logs["step"], "epoch": logs["epoch"]} | rest) + "\n"
