"""The recipe of a stage, top to bottom: YAML -> data -> network -> what learns -> Trainer -> folder.

Both stages run through here; what makes a stage is `learn:`, `model.heads` and `data:` in the YAML.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import TrainingArguments, set_seed

from ullava.configs.schema import RunConfig
from ullava.models.assembly import PRECISIONS, Assembled, assemble
from ullava.models.folders.manifest import CARD
from ullava.models.stages import Learning, let_towers_learn, prepare
from ullava.tasks.mixture import Mixture
from ullava.training.bad_samples import forget, report_lines
from ullava.training.distributed import held_up, read_deepspeed, spread
from ullava.training.preflight import look_ahead, open_mixture
from ullava.training.run_errors import explained, fp16_warning
from ullava.training.run_lock import run_lock
from ullava.training.same_run import check_same, facts_of, finished
from ullava.training.saving import last_checkpoint, room
from ullava.training.stopping import Stopped
from ullava.training.trainer import StageTrainer


def train(
    config: RunConfig, *, allow_mismatch: bool = False, change_rates: bool = False, skip_bad: bool = False
) -> None:
    """Trains a stage, or goes on with it from its last checkpoint; of one that is finished it says so.

    Args:
        allow_mismatch: stand on other foundations than the run that `model.llm` names was trained on.
        change_rates: go on under other rates, weight decay or schedule than before.
        skip_bad: put checkpoints aside that are not whole, and go on from one before.

    Raises:
        ConfigError: the YAML, the data or the processes are not those of the run that stands in its folder.
        Stopped: a signal asked for it, and everything is saved; exits with 0.
    """
    set_seed(config.training.seed)
    mixture = open_mixture(config)
    look_ahead(config, mixture, allow_mismatch=allow_mismatch)
    with run_lock(config.output_dir) as swept:
        for name in swept:
            print(f"removed {Path(config.output_dir, name)}: a process was killed before it was whole")
        last = last_checkpoint(config.output_dir, skip_bad=skip_bad)
        ranks = int(os.environ.get("WORLD_SIZE", 1))
        facts = facts_of(config, mixture, ranks, read_deepspeed(config.training))
        if last is None:
            begin(config.output_dir)
        else:
            notes = check_same(facts, last, change_rates=change_rates)
            if message := finished(config, last):
                print(message)
                return
            print("\n".join([f"going on from {last}", *notes]), flush=True)
        trainer = prepare_trainer(config, mixture, facts, allow_mismatch)
        learn(trainer, config, last)
        for line in report_lines(config.output_dir):
            print(line)
        with room(config.output_dir):
            trainer.save_model(config.output_dir)


def begin(output: str) -> None:
    """Clears the folder of what a run left that came to no checkpoint.

    Raises:
        FileExistsError: a finished run lies there, which would be lost.
    """
    if Path(output, CARD).is_file():
        raise FileExistsError(
            f"output_dir: {output} holds a trained model and no checkpoint to go on from; name another folder, or "
            "remove this one"
        )
    forget(output)


def learn(trainer: StageTrainer, config: RunConfig, last: Path | None) -> None:
    """Takes every step from the checkpoint `last` on, listens to who asks to stop, and explains what goes wrong."""
    evaluating = partial(getattr, trainer, "evaluating")
    try:
        with trainer.stop.listening(), explained(trainer.watch, config.training, evaluating=evaluating):
            trainer.train(resume_from_checkpoint=last)
    except Stopped as stop:
        if stop.message:
            print(stop.message, flush=True)
        raise


def prepare_trainer(
    config: RunConfig, mixture: Mixture, facts: Mapping[str, Any], allow_mismatch: bool = False
) -> StageTrainer:
    """Assembles the network, chooses what of it learns, writes that down, and makes the Trainer."""
    if config.training.precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("training.precision: fp16 needs a GPU, and none is here; take bf16 or fp32")
    deepspeed = read_deepspeed(config.training)
    assembled = assemble(
        config.model, losses=config.losses, precision=config.training.precision,
        max_length=config.training.max_length, seed=config.training.seed, allow_mismatch=allow_mismatch,
        learns=tuple(config.learn),
    )  # fmt: skip
    groups, table = choose(assembled, config)
    arguments = training_arguments(config, spread(config.training, deepspeed, assembled.model.llm))
    if arguments.should_save:
        write_down(config, table)
        if deepspeed and (warning := held_up()):
            print(f"warning: {warning}", flush=True)
        if config.training.precision == "fp16" and (warning := fp16_warning(assembled.model.config.to_dict())):
            print(f"warning: {warning}")
    return StageTrainer(assembled, config, groups, mixture, arguments, facts)


def choose(assembled: Assembled, config: RunConfig) -> tuple[list[dict], list[Learning]]:
    """Freezes what `learn:` does not name, and brings the frozen language model to its precision.

    What learns stays float32, and so does what is ours and frozen: rounded weights would be saved, and boxes be coarse.
    """
    model = assembled.model
    let_towers_learn(model, config.learn)
    rows = assembled.new_rows if config.new_embeddings_only else None
    groups, table = prepare(model, config.learn, rows=rows)
    for name, parameter in model.named_parameters():
        frozen = name.startswith("llm.") and not parameter.requires_grad
        kept = PRECISIONS[config.training.precision] if frozen else torch.float32
        parameter.data = parameter.data.to(kept)
    if config.training.gradient_checkpointing:
        model.llm.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for tower in model.towers.values():
        tower.remember(None if config.training.cache_features else 0)
    return groups, table


def write_down(config: RunConfig, table: Sequence[Learning]) -> None:
    """Prints what learns, and saves it beside the run's whole configuration; one that was another before is kept."""
    folder = Path(config.output_dir)
    text, path = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), folder / "config.yaml"
    if path.is_file() and path.read_text() != text and (last := last_checkpoint(folder)):
        path.replace(folder / f"config-until-{last.name}.yaml")
    path.write_text(text)
    (folder / "learn.json").write_text(json.dumps([asdict(line) for line in table], indent=2))
    print(f"{'part':<14}{'rate':>10}{'learns':>14}{'frozen':>14}")
    for line in table:
        print(f"{line.part:<14}{line.rate:>10.1e}{line.learning:>14,}{line.frozen:>14,}")


def training_arguments(config: RunConfig, spreading: dict[str, Any]) -> TrainingArguments:
    """Translates our keys to the Trainer's arguments.

    Made when the network stands: transformers would share out the towers too, had it heard of ZeRO-3 before.

    Args:
        spreading: how the run is spread over processes.
    """
    how = config.training
    return TrainingArguments(
        output_dir=config.output_dir, num_train_epochs=how.epochs, max_steps=how.max_steps or -1, seed=how.seed,
        per_device_train_batch_size=how.batch_size, gradient_accumulation_steps=how.accumulate,
        use_cpu=not torch.cuda.is_available(), **spreading,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(how.schedule, how.schedule),
        warmup_steps=how.warmup_ratio, max_grad_norm=how.max_grad_norm, learning_rate=max(config.learn.values()),
        dataloader_num_workers=how.workers, dataloader_pin_memory=torch.cuda.is_available(),
        logging_steps=how.log_every, logging_nan_inf_filter=False,
        report_to=[name for name in how.report_to if name != "tensorboard"],  # ullava/training/board.py
        eval_strategy="epoch" if config.evaluate else "no",
        save_strategy="steps" if how.save_every else "epoch", save_steps=how.save_every or 500,
        metric_for_best_model=config.best, greater_is_better=True,
        remove_unused_columns=False, accelerator_config={"even_batches": True},
    )  # fmt: skip
