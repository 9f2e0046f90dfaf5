"""transformers' Trainer, told what our batches, losses, checkpoints and evaluations are."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import save_fsdp_optimizer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME

from ullava.configs.schema import RunConfig
from ullava.evaluation.evaluator import evaluate
from ullava.feed import Places, Rows
from ullava.log import Log
from ullava.models import checkpoints
from ullava.models.answering import Answerer
from ullava.models.assembly import PRECISIONS, Assembled
from ullava.models.batch import Batch
from ullava.models.collator import Collator
from ullava.models.shards import together
from ullava.tasks.mixture import Mixture


def forgive_frozen(model: nn.Module, keys: Any) -> None:
    """DeepSpeed's checkpoints hold only what learns: the rest is not missing."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]


class StageTrainer(Trainer):
    """The Trainer, told what our batches, losses, checkpoints and evaluations are."""

    def __init__(self, assembled: Assembled, config: RunConfig, groups: list[dict], mixture: Mixture, arguments):
        tokens = [head.token for head in assembled.model.heads.values()]
        self.assembled, self.config, self.groups, self.places = assembled, config, groups, Places(mixture)
        super().__init__(
            model=assembled.model, args=arguments, train_dataset=Rows(mixture, assembled.processor),
            eval_dataset=list(config.evaluate) or None,
            data_collator=Collator(assembled.processor.tokenizer.pad_token_id, tokens),
            callbacks=[Log(self, Path(config.output_dir, "log.jsonl"))],
        )  # fmt: skip
        self.loss_is_scaled_for_ga = True
        self.sums: dict[str, Tensor | float] = defaultdict(float)
        self.model.register_load_state_dict_post_hook(forgive_frozen)

    def get_train_dataloader(self) -> DataLoader:
        """Batches of (epoch, position) places."""
        loader = DataLoader(
            self.train_dataset, self.args.per_device_train_batch_size, sampler=self.places,
            collate_fn=self.data_collator, num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory, persistent_workers=self.args.dataloader_num_workers > 0,
        )  # fmt: skip
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        """AdamW with a rate for each part, in one order on every run."""
        how = self.config.training
        groups = [dict(group, weight_decay=how.weight_decay) for group in self.groups]
        for group in groups:
            if group["name"] == "embeddings" and self.config.new_embeddings_only:
                group["weight_decay"] = 0.0  # it would move the rows that have to stay
        self.optimizer = torch.optim.AdamW(groups, betas=how.betas, fused=torch.cuda.is_available())
        return self.optimizer

    def get_batch_samples(self, epoch_iterator, num_batches: int, device: torch.device):
        """The batches of one optimizer step, and how many tokens and promises they hold on all ranks together."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator, strict=False)]
        counts = {name: sum(batch.counts[name] for batch in batches) for name in (batches[0].counts if batches else ())}
        if self.args.world_size > 1 and counts:
            summed = self.accelerator.reduce(torch.tensor(list(counts.values()), device=device), "sum")
            counts = dict(zip(counts, summed, strict=True))
        return batches, counts or None

    def floating_point_ops(self, inputs: Batch) -> int:
        """Not counted here: benchmarks/train_step.py does, part by part."""
        return 0

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        return inputs.to(self.args.device)

    def compute_loss(self, model, inputs: Batch, return_outputs=False, num_items_in_batch: Mapping | None = None):
        """The weighted total; gradients are averaged over ranks, and `num_items_in_batch` counts all of them."""
        with self.autocast():
            losses = model(inputs, num_items_in_batch)
        for name, part in losses.parts.items():
            self.sums[name] = self.sums[name] + part.detach()
        total = losses.total * self.args.world_size
        return (total, losses) if return_outputs else total

    def autocast(self) -> torch.autocast:
        """What learns is float32; layers compute as the YAML says."""
        kind = PRECISIONS[self.config.training.precision]
        return torch.autocast(self.args.device.type, dtype=kind, enabled=kind != torch.float32)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds every loss term and every part's rate to what the Trainer logs."""
        if "loss" in logs and self.sums:
            steps = self.state.global_step - getattr(self, "logged_step", self.resumed_step)
            self.logged_step = self.state.global_step
            sums = self.accelerator.reduce(torch.stack(list(map(torch.as_tensor, self.sums.values()))), "sum")
            logs |= dict(zip(self.sums, (sums / max(steps, 1)).tolist(), strict=True))
            logs |= {f"learning_rate/{group['name']}": group["lr"] for group in self.optimizer.param_groups}
            self.sums.clear()
        super().log(logs, start_time)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Scores the rows of `evaluate:`."""
        answerer = Answerer(self.assembled, self.config.generation)
        folder = Path(self.config.output_dir, "evaluation", f"step-{self.state.global_step}")
        with self.autocast(), together(self.model_wrapped):
            results = evaluate(
                self.config.evaluate, answerer, own=self.config.datasets, output=folder,
                run={"step": self.state.global_step},
            )  # fmt: skip
        metrics = {
            f"{metric_key_prefix}_{row['dataset']}/{row['task']}/{name}": value
            for row in results["rows"]
            for name, value in row["metrics"].items()
        }
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes our folder: every rank brings its pieces, the first one writes."""
        checkpoints.save(
            output_dir or self.args.output_dir, self.assembled.model, self.assembled.config,
            self.assembled.processor.tokenizer, writes=self.args.should_save,
        )  # fmt: skip
        self.accelerator.wait_for_everyone()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Without what is frozen, nor, under FSDP, a second copy of what learned."""
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
        card = checkpoints.read_card(resume_from_checkpoint)
        if card is None:
            raise ValueError(f"{resume_from_checkpoint}: holds no {checkpoints.CARD}; delete the folder to begin again")
        checkpoints.load_learned(self.assembled.model, card)

    @property
    def resumed_step(self) -> int:
        """The step that this process went on from."""
        return getattr(self, "_resumed_step", 0)
