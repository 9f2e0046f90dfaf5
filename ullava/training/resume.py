"""A Trainer whose runs go on from where they were killed as if nothing had been.

What a checkpoint of transformers lacks: the sums between two lines of the log; the evaluation that an epoch's end still
owed; and that it is whole. A step is saved before it is evaluated, and its scores are written into what stands.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from ullava.training import saving
from ullava.training.loss_log import LossLog
from ullava.training.same_run import FACTS
from ullava.training.train_dataset import PositionSampler


class ResumableTrainer(Trainer):
    """The Trainer, with checkpoints that hold everything and are whole or not there.

    Attributes:
        terms: sums of the loss terms since the log's last line.
        keep: how many checkpoints stay, the best one apart.
        places: the sampler, which is told when an epoch begins.
        resumed: the checkpoint that this process goes on from.
        standing: the newest checkpoint that this process has read or written.
        trained_under: what it trains under, by which a later process knows whether it is the same run.
    """

    terms: LossLog
    keep: int
    places: PositionSampler
    trained_under: Mapping[str, Any]
    groups: list[dict[str, Any]]
    optimizer: Any
    lr_scheduler: Any
    resumed: Path | None = None
    standing: Path | None = None

    @property
    def output_dir(self) -> str:
        """The run's folder."""
        assert self.args.output_dir is not None  # TrainingArguments replaces None when it is built
        return self.args.output_dir

    def train(self, resume_from_checkpoint: str | Path | None = None, **named: Any):
        """Trains, or goes on from a checkpoint."""
        self.resumed = self.standing = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        return super().train(str(self.resumed) if self.resumed else None, **named)

    def _run_epoch(self, *given: Any, **named: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # killed when all was learned: nothing is left to do
            self.control.should_training_stop = True
            return
        super()._run_epoch(*given, **named)

    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        """Writes a checkpoint as a whole; of one that stands already only what is known of it now, its scores."""
        best, final = self.state.best_global_step, saving.checkpoint(self.output_dir, self.state.global_step)
        self.state.best_model_checkpoint = str(saving.checkpoint(self.output_dir, best)) if best else None
        stands = self.standing == final
        folder = final if stands else saving.aside(final)
        with saving.room(self.output_dir, saving.aside(final)):
            if not stands:
                self.write(folder)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self.state.save_to_json(str(saving.aside(folder / saving.STATE)))
                if stands:
                    saving.restate(final)
                else:
                    os.replace(saving.aside(folder / saving.STATE), folder / saving.STATE)
                    saving.seal(final)
                saving.rotate(self.output_dir, self.keep, best)
            self.accelerator.wait_for_everyone()
        self.standing = final

    def write(self, folder: Path) -> None:
        """Writes everything that a process needs to go on, except the Trainer's state."""
        self.save_model(str(folder), _internal_call=True)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))
        if self.args.should_save:
            (folder / FACTS).write_text(json.dumps(self.trained_under, indent=2))
        torch.save(
            {"terms": self.terms.state(), "loss": self._tr_loss, "logged": self._globalstep_last_logged},
            folder / self.running,
        )

    @property
    def running(self) -> str:
        """The file of this rank's sums; a checkpoint of another number of ranks has none of this name."""
        return f"running_{self.args.process_index}_of_{self.args.world_size}.pth"

    def recall(self) -> None:
        """Restores the loss sums since the log's last line."""
        self.terms.begin(self.state.global_step)
        if self.resumed and (self.resumed / self.running).is_file():
            with saving.readable(self.resumed):
                kept = torch.load(self.resumed / self.running, map_location="cpu", weights_only=True)
                self.terms.load(kept["terms"], self.args.device)
                self._tr_loss += kept["loss"].to(self.args.device)
                self._globalstep_last_logged = kept["logged"]

    def settle_rates(self) -> None:
        """Gives each part the rate and the weight decay of this run's YAML, where its schedule stands.

        A checkpoint brings those of the process that wrote it; under an unchanged YAML they are the same to the bit.
        """
        scheduler = getattr(self.lr_scheduler, "scheduler", self.lr_scheduler)
        scheduler.base_lrs = [group["lr"] for group in self.groups]
        for group, ours, factor in zip(self.optimizer.param_groups, self.groups, scheduler.lr_lambdas, strict=True):
            group |= {"initial_lr": ours["lr"], "weight_decay": ours["weight_decay"]}
            group["lr"] = ours["lr"] * factor(scheduler.last_epoch)
        scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def evaluation_is_due(self) -> bool:
        """Whether the process before us saved a step that it had to evaluate, and never did."""
        step = self.state.global_step
        ended = step >= self.state.max_steps or self.state.epoch == int(self.state.epoch or 0)
        scores = (key for log in self.state.log_history if log["step"] == step for key in log)
        return bool(self.eval_dataset and step and ended and not any(key.startswith("eval_") for key in scores))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            with saving.readable(Path(checkpoint)):
                super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            with saving.readable(Path(checkpoint)):
                super()._load_rng_state(checkpoint)


class Resuming(TrainerCallback):
    """Makes a process that goes on indistinguishable from one that never stopped."""

    def __init__(self, trainer: ResumableTrainer):
        self.trainer = trainer

    def on_train_begin(self, args, state, control, **_: Any) -> None:
        """Restores the sums, and evaluates a step that the last process saved but could not evaluate."""
        self.trainer.recall()
        if self.trainer.resumed:
            # findings/trainer_resume_steps.sh
            state.compute_steps(args, state.max_steps)  # transformers takes those of the checkpoint
            self.trainer.settle_rates()
        if self.trainer.evaluation_is_due():
            metrics = self.trainer.evaluate()
            self.trainer._determine_best_metric(metrics, None)
            self.trainer._save_checkpoint(self.trainer.model)
            control.should_save = False

    def on_epoch_begin(self, args, state, control, **_: Any) -> None:
        """Tells the sampler the epoch, whatever wraps it."""
        self.trainer.places.set_epoch(int(state.epoch or 0))
