"""Whether a run that is gone on with is the one that was begun.

The folder of a run holds one training. A YAML, data or processes that changed since would train something that neither
its config.yaml nor its card tells; so each checkpoint says in `run.json` what it was trained under, and who goes on
from it compares.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ullava.checking.row_checks import DECODED, spread
from ullava.configs.load import ConfigError
from ullava.configs.schema import RunConfig
from ullava.datasets.readers.base import Reader
from ullava.models.folders.manifest import CARD, packages
from ullava.models.folders.sums import sum_of
from ullava.tasks.mixture import Mixture
from ullava.training.bad_samples import BAD
from ullava.training.saving import FILES, STATE

FACTS = "run.json"
FREE = (  # keys that change neither what is learned nor from what; these take effect
    "output_dir", "evaluate", "generation", "datasets", "training.epochs", "training.max_steps", "training.save_every",
    "training.log_every", "training.workers", "training.report_to", "training.keep", "training.bad_share",
)  # fmt: skip
RATES = ("learn", "training.weight_decay", "training.schedule", "training.warmup_ratio")  # change when they are told to
LENGTH = ("training.epochs", "training.max_steps")
SAMPLES = 256  # of each row of data, evenly spread, whose records are compared
ABSENT = "nothing"  # how a key is shown that one of two trees lacks


def facts_of(config: RunConfig, mixture: Mixture, ranks: int, deepspeed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a run is trained under.

    Args:
        ranks: number of its processes.
        deepspeed: the settings, where it uses them.
    """
    how = config.training
    return {
        "config": config.model_dump(mode="json"),
        "ranks": ranks,
        "samples a step": how.batch_size * how.accumulate * ranks,
        "deepspeed": deepspeed,
        "data": {f"data[{number}]": fingerprint(row.reader) for number, row in enumerate(mixture.rows)},
        "packages": packages(),
    }


def fingerprint(reader: Reader) -> str:
    """Number of a reader's samples, and a hash of what some of them say, wherever their pictures lie."""
    digest = hashlib.sha256()
    for record in spread(len(reader), DECODED if reader.decodes else SAMPLES):
        try:
            sample = reader[record]
        except BAD as error:  # which a run may quarantine
            digest.update(type(error).__name__.encode())
            continue
        regions = [(region.phrases, region.category, region.box, region.keyword) for region in sample.regions]
        digest.update(repr((sample.id, sample.turns, regions, sample.absent)).encode())
    return f"{len(reader)} samples, {digest.hexdigest()[:16]}"


def written(folder: Path) -> dict[str, Any] | None:
    """What a checkpoint was trained under; None where an ullava wrote it that did not say so."""
    if (folder / FACTS).is_file():
        return json.loads((folder / FACTS).read_text())
    card = json.loads((folder / CARD).read_text())
    return {"config": card["run"]} if card.get("run") else None


def check_same(facts: Mapping[str, Any], checkpoint: Path, *, change_rates: bool = False) -> list[str]:
    """Compares a run that begins with the checkpoint that it would go on from.

    Args:
        change_rates: rates, weight decay and schedule may be others.

    Returns:
        What changed and takes effect, or may: a line each.

    Raises:
        ConfigError: something else changed; names every key, and what it was.
    """
    before = written(checkpoint)
    if before is None:
        return [f"{checkpoint}: does not say what it was trained under, so that nothing can be compared"]
    faults, notes = [], []
    for key, old, new in differences(as_now(before["config"]), facts["config"]):
        line = f"{key}: was {shown(old)}, is {shown(new)}"
        rate = begins(key, RATES) and ABSENT not in (old, new)
        if begins(key, FREE) or (rate and change_rates):
            notes.append(f"{line} from here on")
        elif key in ("training.batch_size", "training.accumulate") and same_step(before, facts):
            notes.append(f"{line} from here on; as many samples a step, but other last bits")
        else:
            faults.append(f"{line}; --change-rates lets it change" if rate else line)
    faults += other_facts(before, facts, notes)
    if faults:
        raise ConfigError("\n".join([
            *faults,
            f"output_dir: {checkpoint.parent} holds a run that was begun otherwise, up to {checkpoint.name}; put back "
            "what changed, or name another output_dir",
        ]))  # fmt: skip
    return notes


def other_facts(before: Mapping[str, Any], now: Mapping[str, Any], notes: list[str]) -> Iterator[str]:
    """Yields what of the processes and the data changed so that another run would come of it; notes the rest."""
    if "ranks" not in before:
        return
    if not same_step(before, now):
        yield (
            f"samples a step: were {before['samples a step']}, are {now['samples a step']} (training.batch_size x "
            f"training.accumulate x {now['ranks']} processes, which were {before['ranks']})"
        )
    elif before["ranks"] != now["ranks"]:
        notes.append(f"{now['ranks']} processes, were {before['ranks']}: the same samples a step, but other last bits")
    if before["deepspeed"] != now["deepspeed"] and before["config"]["training"]["deepspeed"] is not None:
        changed = (key for key, *_ in differences(before["deepspeed"] or {}, now["deepspeed"] or {}))
        yield f"training.deepspeed: the settings changed: {', '.join(changed)}"
    for row, known in before["data"].items():
        if row in now["data"] and now["data"][row] != known:
            yield f"{row}: its records changed: were {known}, are {now['data'][row]}"
    for name, version in before["packages"].items():
        if (found := now["packages"].get(name)) != version:
            notes.append(f"{name} {found}, was {version}: other last bits are possible")


def same_step(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a step of the optimizer takes as many samples as before."""
    return before.get("samples a step") == now["samples a step"]


def as_now(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's configuration as this ullava would write it: with the keys that came since, at their defaults."""
    return RunConfig.model_validate(config).model_dump(mode="json")


def differences(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields (key with dots, old, new) of every leaf that differs between two trees."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys((*old, *new)):
            yield from differences(old.get(name, ABSENT), new.get(name, ABSENT), f"{key}.{name}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (first, second) in enumerate(zip(old, new, strict=True)):
            yield from differences(first, second, f"{key}.{number}")
    elif old != new and not same_place(old, new):
        yield key, old, new


def same_place(old: Any, new: Any) -> bool:
    """Whether two values are two ways to one file or folder."""
    paths = [Path(value) for value in (old, new) if isinstance(value, str) and value]
    return len(paths) == 2 and all(path.exists() for path in paths) and paths[0].samefile(paths[1])


def begins(key: str, names: tuple[str, ...]) -> bool:
    """Whether a key is one of these, or below one."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def shown(value: Any) -> str:
    """A value in a message."""
    return value if value is ABSENT else json.dumps(value, ensure_ascii=False)


def finished(config: RunConfig, checkpoint: Path) -> str | None:
    """What to say of a run that has come to its end and lies in its folder whole; None where something is left."""
    before = written(checkpoint)
    state = json.loads((checkpoint / STATE).read_text())
    step = state["global_step"]
    if before is None or step < state["max_steps"]:
        return None
    changed = [key for key, *_ in differences(as_now(before["config"]), config.model_dump(mode="json"))]
    scored = any(log["step"] == step and any(key.startswith("eval_") for key in log) for log in state["log_history"])
    if any(key in LENGTH for key in changed) or (config.evaluate and not scored):
        return None
    folder, known = checkpoint.parent, json.loads((checkpoint / FILES).read_text())
    for name in ("learned.safetensors", "adapter_model.safetensors"):
        if name in known and (not (folder / name).is_file() or sum_of(folder / name) != known[name]):
            return None
    if not (folder / CARD).is_file():
        return None
    return (
        f"{folder}: finished at step {step}; nothing is left to do, and nothing was written. To train longer, raise "
        f"{' or '.join(LENGTH)}; to train otherwise, name another output_dir; to score it, `ullava eval`"
    )
