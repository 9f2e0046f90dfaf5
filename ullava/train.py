"""The recipe of a stage, top to bottom: YAML -> data -> network -> what learns -> Trainer -> folder.

Both stages run through here; what makes a stage is `learn:`, `model.heads` and `data:` in the YAML.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from ullava.configs.load import load
from ullava.configs.schema import RunConfig
from ullava.evaluation.evaluator import evaluate
from ullava.messages import located, run_command
from ullava.models import checkpoints
from ullava.models.answering import Answerer
from ullava.models.assembly import PRECISIONS, Assembled, assemble
from ullava.models.batch import Batch
from ullava.models.collator import Collator
from ullava.models.processor import Processor, Row
from ullava.models.stages import Learning, prepare
from ullava.preflight import look_ahead, open_mixture
from ullava.tasks.mixture import Mixture


def main(arguments: Sequence[str] | None = None) -> None:
    """`train_ullava_core.py --cfg_path X.yaml [key=value ...]`."""
    parser = argparse.ArgumentParser(description="Trains one stage of ullava.")
    parser.add_argument("--cfg_path", default="configs/train/ullava_core_stage1.yaml", help="default: %(default)s")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. training.batch_size=4 data.0.portion=2")
    chosen = parser.parse_intermixed_args(arguments)
    config = load(chosen.cfg_path, RunConfig, chosen.overrides)
    with located(chosen.cfg_path):
        train(config)


def train(config: RunConfig) -> None:
    """Trains a stage, or goes on with it from its last checkpoint."""
    set_seed(config.training.seed)
    mixture = open_mixture(config)
    look_ahead(config, mixture)
    arguments = training_arguments(config)
    assembled = assemble(
        config.model, losses=config.losses, precision=config.training.precision,
        max_length=config.training.max_length, seed=config.training.seed,
    )  # fmt: skip
    groups, table = choose(assembled, config)
    Path(config.output_dir).mkdir(parents=True, exist_ok=True)
    if arguments.should_save:
        write_down(config, table)
    trainer = StageTrainer(assembled, config, groups, mixture, arguments)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(config.output_dir))
    trainer.save_model(config.output_dir)


def choose(assembled: Assembled, config: RunConfig) -> tuple[list[dict], list[Learning]]:
    """Freezes what `learn:` does not name, and brings the frozen language model to its precision.

    What learns stays float32, and so does what is ours and frozen: rounded weights would be saved, and boxes be coarse.
    """
    model = assembled.model
    for part in {"vision", "sam_encoder"} & set(config.learn):
        if part not in model.towers:
            raise LookupError(f"learn.{part}: this model has no such tower; name heads.mask first")
        model.let_learn(part)
    rows = assembled.new_rows if config.new_embeddings_only else None
    groups, table = prepare(model, config.learn, rows=rows)
    for name, parameter in model.named_parameters():
        frozen = name.startswith("llm.") and not parameter.requires_grad
        kept = PRECISIONS[config.training.precision] if frozen else torch.float32
        parameter.data = parameter.data.to(kept)
    if config.training.gradient_checkpointing:
        model.llm.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for tower in model.towers.values():
        tower.cache.capacity = None if config.training.cache_features else 0
    return groups, table


def write_down(config: RunConfig, table: Sequence[Learning]) -> None:
    """Prints what learns, and saves it beside the run's whole configuration."""
    folder = Path(config.output_dir)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    (folder / "learn.json").write_text(json.dumps([asdict(line) for line in table], indent=2))
    print(f"{'part':<14}{'rate':>10}{'learns':>14}{'frozen':>14}")
    for line in table:
        print(f"{line.part:<14}{line.rate:>10.1e}{line.learning:>14,}{line.frozen:>14,}")


def training_arguments(config: RunConfig) -> TrainingArguments:
    """Our keys in the Trainer's words."""
    how = config.training
    here = Path(__file__).parents[1] / "configs" / "deepspeed" / f"{how.deepspeed}.json"
    if how.precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("training.precision: fp16 needs a GPU, and none is here; take bf16 or fp32")
    return TrainingArguments(
        output_dir=config.output_dir, num_train_epochs=how.epochs, max_steps=how.max_steps or -1, seed=how.seed,
        per_device_train_batch_size=how.batch_size, gradient_accumulation_steps=how.accumulate,
        bf16=how.precision == "bf16", fp16=how.precision == "fp16", use_cpu=not torch.cuda.is_available(),
        deepspeed=None if how.deepspeed is None else str(here if here.is_file() else how.deepspeed),
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(how.schedule, how.schedule),
        warmup_steps=how.warmup_ratio, max_grad_norm=how.max_grad_norm, learning_rate=max(config.learn.values()),
        dataloader_num_workers=how.workers, dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=how.log_every, logging_nan_inf_filter=False, report_to=list(how.report_to),
        eval_strategy="epoch" if config.evaluate else "no",
        save_strategy="steps" if how.save_every else "epoch", save_steps=how.save_every or 500,
        save_total_limit=how.keep, metric_for_best_model=config.best, greater_is_better=True,
        remove_unused_columns=False, accelerator_config={"even_batches": True},
    )  # fmt: skip


class Places(Sampler):
    """Yields (epoch, position): with them, workers need to know nothing of time.

    The mixture's epochs, one after the other, are cut into stretches of equal length: portions that cut a record in two
    let epochs differ by a few places, and the Trainer counts its steps once.
    """

    def __init__(self, mixture: Mixture):
        self.mixture, self.epoch, self.length = mixture, 0, mixture.size(0)

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer when an epoch begins."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, skip = 0, self.epoch * self.length
        while skip >= self.mixture.size(epoch):
            skip -= self.mixture.size(epoch)
            epoch += 1
        stream = ((e, k) for e in count(epoch) for k in range(self.mixture.size(e)))
        return islice(stream, skip, skip + self.length)

    def __len__(self) -> int:
        return self.length


class Rows(Dataset):
    """(epoch, position) -> the row that is there."""

    def __init__(self, mixture: Mixture, processor: Processor):
        self.mixture, self.processor = mixture, processor

    def __len__(self) -> int:  # the Trainer counts the steps of an epoch with it
        return self.mixture.size(0)

    def __getitem__(self, place: tuple[int, int]) -> Row:
        return self.processor(self.mixture[place])


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
        losses = model(inputs, num_items_in_batch)
        for name, part in losses.parts.items():
            self.sums[name] = self.sums[name] + part.detach()
        total = losses.total * self.args.world_size
        return (total, losses) if return_outputs else total

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
        with self.accelerator.autocast():  # as in training: what learns is float32, the rest as the YAML says
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

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        checkpoints.save(
            output_dir or self.args.output_dir, self.assembled.model, self.assembled.config,
            self.assembled.processor.tokenizer,
        )  # fmt: skip

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        card = checkpoints.read_card(resume_from_checkpoint)
        if card is None:
            raise ValueError(f"{resume_from_checkpoint}: holds no {checkpoints.CARD}; delete the folder to begin again")
        checkpoints.load_learned(self.assembled.model, card)

    @property
    def resumed_step(self) -> int:
        """The step that this process went on from."""
        return getattr(self, "_resumed_step", 0)


class Log(TrainerCallback):
    """Writes log.jsonl: one line per log, as a run that was never interrupted would have."""

    def __init__(self, trainer: StageTrainer, path: Path):
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


if __name__ == "__main__":
    run_command(main)
