"""One process of a run: trains the stages it is given, one after the other, and writes down what it did.

    RANK=0 WORLD_SIZE=2 ... python tests/ullava/rank.py stage.yaml [stage.yaml ...]

Each stage's folder gets, of rank R, seen-R.json: the samples it was fed by optimizer step; facts-R.json: in what the
box head computed, and which towers were cut into pieces; and, where ranks hold whole gradients, gradients-R.pt: those
of the first step, averaged over the ranks, before they are applied.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, PartialState
from transformers import TrainerCallback
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

import ullava.training.train
from ullava.configs.load import load
from ullava.configs.schema import RunConfig
from ullava.training.trainer import StageTrainer


class Watched(StageTrainer):
    """Notes what it is fed, and the first step's gradients."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.seen: list[list[list[str]]] = []
        self.box_kinds: set[str] = set()
        self.add_callback(Notes(self))
        self.assembled.model.heads["box"].regress[0].register_forward_hook(self.note_box)

    def note_box(self, layer, given, result):
        self.box_kinds |= {str(given[0].dtype), str(layer.weight.dtype), str(result.dtype)}

    def facts(self) -> dict:
        """What became of weights."""
        towers = {name: list(tower.module.parameters()) for name, tower in self.assembled.model.towers.items()}
        cut = [name for name, found in towers.items() if any(hasattr(p, "ds_id") or not p.numel() for p in found)]
        learns = {str(p.dtype) for p in self.assembled.model.parameters() if p.requires_grad}
        return {"box": sorted(self.box_kinds), "cut towers": cut, "learns": sorted(learns)}

    def get_batch_samples(self, *given):
        batches, counts = super().get_batch_samples(*given)
        self.seen.append([list(batch.ids) for batch in batches])
        return batches, counts


class Notes(TrainerCallback):
    """Writes down what was seen, and the gradients of the first step where parameters hold them (one process, DDP)."""

    def __init__(self, trainer: StageTrainer):
        self.trainer = trainer

    def on_pre_optimizer_step(self, args, state, control, **_):
        if state.global_step == 0 and not self.trainer.is_deepspeed_enabled and not self.trainer.is_fsdp_enabled:
            model = self.trainer.assembled.model
            found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            torch.save(found, Path(args.output_dir, f"gradients-{args.process_index}.pt"))

    def on_train_end(self, args, state, control, **_):
        for name, noted in (("seen", self.trainer.seen), ("facts", self.trainer.facts())):
            Path(args.output_dir, f"{name}-{args.process_index}.json").write_text(json.dumps(noted))


def without_compiling() -> None:
    """Lets ranks talk by gloo: DeepSpeed on a CPU compiles an operator for that first, minutes on two cores."""
    if find_spec("deepspeed") is not None:
        import deepspeed.ops

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def main(paths: list[str]) -> None:
    """Trains every stage."""
    if any(load(path, RunConfig).training.deepspeed for path in paths):
        without_compiling()
    ullava.training.train.StageTrainer = Watched
    for path in paths:
        ullava.training.train.train(load(path, RunConfig))
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
        AcceleratorState._reset_state()
        PartialState._reset_state()
        unset_hf_deepspeed_config()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
