"""TensorBoard: one folder a run, in which no step stands twice however often the run was interrupted."""

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from transformers.integrations.integration_utils import TensorBoardCallback


class Board(TensorBoardCallback):
    """Writes to `tensorboard/` in the run's folder; what a killed process wrote beyond its checkpoint is hidden."""

    def on_train_begin(self, args, state, control, **named: Any) -> None:
        """Begins where the run goes on."""
        if state.is_world_process_zero:
            again = state.global_step + 1 if state.global_step else None
            self.tb_writer = SummaryWriter(str(Path(args.output_dir, "tensorboard")), purge_step=again)
        super().on_train_begin(args, state, control, **named)
