"""A subclass of transformers' Trainer for our batches, losses, checkpoints and evaluations."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.utils import save_fsdp_optimizer
from torch import nn
from torch.utils.data import DataLoader
from transformers.trainer import SCHEDULER_NAME

from ullava.configs.registry import nearest
from ullava.configs.schema import RunConfig
from ullava.evaluation.evaluator import evaluate
from ullava.models.answering import Answerer
from ullava.models.assembly import PRECISIONS, Assembled
from ullava.models.batching.batch import Batch
from ullava.models.batching.collator import Collator
from ullava.models.folders import checkpoints
from ullava.models.folders.manifest import known
from ullava.models.folders.shards import together
from ullava.tasks.mixture import Mixture
from ullava.training.bad_samples import quarantine
from ullava.training.log import Log
from ullava.training.loss_log import LossLog
from ullava.training.resume import ResumableTrainer, Resuming
from ullava.training.run_errors import LossWatch
from ullava.training.saving import readable
from ullava.training.stopping import Stop, Stopping, undisturbed
from ullava.training.train_dataset import PositionSampler, TrainDataset


def forgive_frozen(model: nn.Module, keys: Any) -> None:
    """Accepts DeepSpeed's checkpoints without frozen weights: they hold only what learns."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]


class StageTrainer(ResumableTrainer):
    """The Trainer with our batches, losses, checkpoints and evaluations.

    Attributes:
        stop: whether this process was asked to stop; stop_of_any: how many ranks were when the step began.
        watch: what the running step was fed.
        evaluating: whether an evaluation is running.
        model_wrapped: the network as it trains: itself, or in DeepSpeed's or DDP's hands.
    """

    model: nn.Module
    train_dataset: TrainDataset
    model_wrapped: Any  # DeepSpeed's engine and both kinds of schedulers have methods that transformers does not type
    lr_scheduler: Any

    def __init__(
        self, assembled: Assembled, config: RunConfig, groups: list[dict], mixture: Mixture, arguments,
        facts: Mapping[str, Any],
    ):  # fmt: skip
        self.stop, self.watch, self.terms, self.keep = Stop(), LossWatch(), LossLog(), config.training.keep
        self.stop_of_any: torch.Tensor | None = None
        self.evaluating, self.trained_under = False, facts
        self.assembled, self.config = assembled, config
        self.groups = [group | {"weight_decay": config.training.weight_decay} for group in groups]
        for group in self.groups:
            if group["name"] == "embeddings" and config.new_embeddings_only:
                group["weight_decay"] = 0.0  # it would move the rows that have to stay
        rows = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        self.places = PositionSampler(mixture, rows)
        pad_id = cast(int, assembled.processor.tokenizer.pad_token_id)  # the library types all special tokens together
        super().__init__(
            model=assembled.model, args=arguments,
            train_dataset=TrainDataset(mixture, assembled.processor, quarantine(config, mixture)),
            eval_dataset=cast(Any, list(config.evaluate) or None),  # rows of a YAML: `evaluate` below opens them
            data_collator=cast(Any, Collator(pad_id, assembled.model.tokens)),  # a Batch, which is no dict
            callbacks=[Log(Path(config.output_dir, "log.jsonl")), Resuming(self), Stopping(self)],
        )  # fmt: skip
        # findings/trainer_accumulation.sh
        self.loss_is_scaled_for_ga = True
        if "tensorboard" in config.training.report_to:
            from ullava.training.board import Board  # two seconds, which only this costs

            self.add_callback(Board())
        self.model.register_load_state_dict_post_hook(forgive_frozen)

    def get_train_dataloader(self) -> DataLoader:
        """Makes the loader of batches from (epoch, position) places.

        The loader draws from a generator of its own: how often it draws depends on the workers, and what the network
        draws (dropout) must not.
        """
        loader = DataLoader(
            self.train_dataset, self.args.per_device_train_batch_size, sampler=self.places,
            collate_fn=self.data_collator, num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory, persistent_workers=self.args.dataloader_num_workers > 0,
            worker_init_fn=undisturbed, generator=torch.Generator().manual_seed(self.args.seed),
        )  # fmt: skip
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """AdamW with a rate for each part, in one order on every run."""
        betas, fused = self.config.training.betas, torch.cuda.is_available()
        self.optimizer = torch.optim.AdamW([dict(group) for group in self.groups], betas=betas, fused=fused)
        return self.optimizer

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device):
        """Gets the batches of one optimizer step, and their count of tokens and promises over all ranks."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        counts = {name: sum(batch.counts[name] for batch in batches) for name in (batches[0].counts if batches else ())}
        self.watch.begin(batches)
        if self.args.world_size > 1 and counts:
            numbers = torch.tensor([*counts.values(), self.stop.asked is not None], device=device)
            *summed, self.stop_of_any = self.add_ranks(numbers)
            counts = dict(zip(counts, summed, strict=True))
        return batches, counts or None

    def add_ranks(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sum of `numbers` over all ranks, in the same shape."""
        return cast(torch.Tensor, self.accelerator.reduce(numbers, "sum"))  # its type is that of any tree of tensors

    def has_to_stop(self) -> bool:
        """Whether this process, or of many ranks any when the step began, was asked to stop; the same on all ranks."""
        return bool(self.stop.asked if self.stop_of_any is None else self.stop_of_any)

    def floating_point_ops(self, inputs: Batch) -> int:
        """Returns 0: benchmarks/train_step.py counts operations, part by part."""
        return 0

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        # Moved, never cast: findings/deepspeed_rounds_boxes.sh
        return inputs.to(self.args.device)

    def compute_loss(self, model, inputs: Batch, return_outputs=False, num_items_in_batch: Mapping | None = None):
        """Computes the weighted loss; gradients average over ranks, and `num_items_in_batch` counts all ranks."""
        self.watch.go_on()
        with self.autocast():
            losses = model(inputs, num_items_in_batch)
        parts = {name: part.detach() for name, part in losses.parts.items()}
        self.watch.parts.append(parts)
        self.terms.add(parts)
        total = losses.total * self.args.world_size
        return (total, losses) if return_outputs else total

    def autocast(self) -> torch.autocast:
        """Autocasts layers to the YAML's precision; the learned weights stay float32."""
        kind = PRECISIONS[self.config.training.precision]
        return torch.autocast(self.args.device.type, dtype=kind, enabled=kind != torch.float32)

    def _get_grad_norm(self, model, grad_norm=None):
        """Returns the gradient norm before clipping; stops the run if it is not finite, before the weights change."""
        norm = super()._get_grad_norm(model, grad_norm)
        folder, scaled = Path(self.output_dir), self.config.training.precision == "fp16"
        self.watch.judge(norm, step=self.state.global_step + 1, folder=folder, scaled=scaled)
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds every loss term and every part's rate to what the Trainer logs."""
        if "loss" in logs:
            logs |= self.terms.means(self.state.global_step, self.add_ranks)
            logs |= {f"learning_rate/{group['name']}": group["lr"] for group in self.optimizer.param_groups}
        super().log(logs, start_time)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Scores the rows of `evaluate:`; the step is saved before, so that no evaluation can take it away."""
        if self.is_in_train:
            self._save_checkpoint(self.model)
        self.evaluating = True
        with self.stop.free("an evaluation") if self.args.world_size == 1 else nullcontext():
            metrics = self.score(metric_key_prefix)
        self.evaluating = False
        if self.config.best and f"{metric_key_prefix}_{self.config.best}" not in metrics:
            names = [name.removeprefix(f"{metric_key_prefix}_") for name in metrics]
            raise LookupError(f"best: no score {self.config.best!r}; {nearest(self.config.best, names)}")
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control.should_save = self.is_in_train  # the checkpoint learns how it scored
        return metrics

    def score(self, prefix: str) -> dict[str, float]:
        """Computes every score under the seed of `generation`, and restores the random state of training."""
        folder = Path(self.config.output_dir, "evaluation", f"step-{self.state.global_step}")
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices), self.autocast(), together(self.model_wrapped):
            torch.manual_seed(self.config.generation.seed)
            results = evaluate(
                self.config.evaluate, Answerer(self.assembled, self.config.generation), own=self.config.datasets,
                output=folder, run={"step": self.state.global_step},
            )  # fmt: skip
        return {
            f"{prefix}_{row['dataset']}/{row['task']}/{name}": value
            for row in results["rows"]
            for name, value in row["metrics"].items()
        }

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes our folder: every rank brings its pieces, the first one writes."""
        checkpoints.save(
            output_dir or self.output_dir, self.assembled.model, self.assembled.config,
            self.assembled.processor.tokenizer, writes=self.args.should_save, run=self.config.model_dump(mode="json"),
        )  # fmt: skip
        self.accelerator.wait_for_everyone()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Saves optimizer and scheduler without frozen weights or, under FSDP, a second copy of the learned ones."""
        if self.is_deepspeed_enabled:
            self.model_wrapped.save_checkpoint(output_dir, exclude_frozen_parameters=True)
        elif self.is_fsdp_enabled:
            save_fsdp_optimizer(
                self.accelerator.state.fsdp_plugin, self.accelerator, self.optimizer, self.model, output_dir
            )
        else:
            return super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER_NAME))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with readable(Path(resume_from_checkpoint)):
            checkpoints.load_learned(self.assembled.model, known(resume_from_checkpoint))
