"""One process of a run: trains the stages it is given, one after the other, and writes down what it did.

    RANK=0 WORLD_SIZE=2 ... python tests/ullava/rank.py stage.yaml [stage.yaml ...]

Each stage's folder gets seen-R.json, the samples that rank R was fed by optimizer step, and, with `gradients` in the
environment's $PROBE, gradients-R.pt: every gradient of the first step, averaged over the ranks, before it is applied.
"""

import json
import sys
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, PartialState
from transformers import TrainerCallback

import ullava.train
from ullava.configs.load import load
from ullava.configs.schema import RunConfig
from ullava.trainer import StageTrainer


class Watched(StageTrainer):
    """Notes what it is fed, and the first step's gradients."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.seen: list[list[list[str]]] = []
        self.add_callback(Gradients(self))

    def get_batch_samples(self, *given):
        batches, counts = super().get_batch_samples(*given)
        self.seen.append([list(batch.ids) for batch in batches])
        return batches, counts


class Gradients(TrainerCallback):
    """Saves the gradients of the first step where the parameters hold them (one process, DDP)."""

    def __init__(self, trainer: StageTrainer):
        self.trainer = trainer

    def on_pre_optimizer_step(self, args, state, control, **_):
        if state.global_step == 0 and not self.trainer.is_deepspeed_enabled and not self.trainer.is_fsdp_enabled:
            model = self.trainer.assembled.model
            found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            torch.save(found, Path(args.output_dir, f"gradients-{args.process_index}.pt"))

    def on_train_end(self, args, state, control, **_):
        path = Path(args.output_dir, f"seen-{args.process_index}.json")
        path.write_text(json.dumps(self.trainer.seen))


def main(paths: list[str]) -> None:
    """Trains every stage."""
    ullava.train.StageTrainer = Watched
    for path in paths:
        ullava.train.train(load(path, RunConfig))
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        AcceleratorState._reset_state()
        PartialState._reset_state()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
