"""Says what memory a stage would take on GPUs that need not be here, and which keys to change if they are too small."""

import json
from collections.abc import Iterator
from itertools import product

from ullava.configs.load import ConfigError
from ullava.configs.schema import RunConfig
from ullava.models.ullava import Ullava

WAYS = {"none": None, "zero2": "zero2", "zero2_offload": "zero2_offload", "zero3": "zero3"}


def plan(config: RunConfig, gpus: str, *, size: str | None = None, promises: int = 3) -> Iterator[str]:
    """Yields the lines of a plan.

    Raises:
        ConfigError: `gpus` is not COUNTxGIB.
        FileNotFoundError: a foundation has no config.json, and `size` is None.
    """
    from ullava.memory.memory import (  # torch and all: once the YAML is known to be good
        Cluster,
        estimate_memory,
        outline,
        total,
    )

    count, _, gigabytes = gpus.partition("x")
    if not (count.isdecimal() and int(count) and gigabytes.replace(".", "", 1).isdecimal() and float(gigabytes)):
        raise ConfigError(f"--gpus: expected COUNTxGIB, e.g. 4x24, found {gpus!r}")
    if promises < 0:
        raise ConfigError(f"--promises: expected 0 or more, found {promises}")
    cluster = Cluster(int(count), float(gigabytes))
    model, table = outline(config, size)
    how = config.training
    yield f"{cluster.count} x {cluster.gigabytes:g} GiB; on each {how.batch_size} x {how.accumulate} rows of "\
        f"{how.max_length} tokens and {promises} masks; {how.precision}, checkpointing "\
        f"{'on' if how.gradient_checkpointing else 'off'}"  # fmt: skip
    yield "learns " + ", ".join(f"{line.part} {line.learning / 1e6:.1f}M" for line in table if line.learning)
    yield ""
    spread = {way: estimate_memory(model, with_way(config, name), cluster, promises) for way, name in WAYS.items()}
    names = list(dict.fromkeys(name for parts in spread.values() for name in parts if name != "host"))
    yield "| GiB on each GPU | " + " | ".join(WAYS) + " |"
    yield "| --- |" + " --- |" * len(WAYS)
    for name in names:
        yield f"| {name} | " + " | ".join(f"{spread[way].get(name, 0) / 2**30:.2f}" for way in WAYS) + " |"
    yield "| **sum** | " + " | ".join(f"**{total(spread[way]):.1f}**" for way in WAYS) + " |"
    fits = [total(spread[way]) <= cluster.gigabytes for way in WAYS]
    yield "| fits | " + " | ".join("yes" if fit else "no" for fit in fits) + " |"
    yield "| host memory for each GPU | " + " | ".join(f"{spread[way]['host'] / 2**30:.1f}" for way in WAYS) + " |"
    yield ""
    yield advice(model, config, cluster, promises)


def with_way(config: RunConfig, deepspeed: str | None, **training) -> RunConfig:
    """`config` with another way of sharing out, and other keys of `training`."""
    changed = {"deepspeed": deepspeed, "fsdp": False} | training
    return config.model_copy(update={"training": config.training.model_copy(update=changed)})


def advice(model: Ullava, config: RunConfig, cluster, promises: int) -> str:
    """The fewest keys that make the run fit; the global batch stays."""
    from ullava.memory.memory import estimate_memory, total

    how = config.training
    now = total(estimate_memory(model, config, cluster, promises))
    if now <= cluster.gigabytes:
        return f"as it is (deepspeed: {how.deepspeed or 'null'}): fits, {now:.1f} of {cluster.gigabytes:g} GiB"
    halves = [how.batch_size >> k for k in range(how.batch_size.bit_length())]
    ways = dict.fromkeys((how.deepspeed, *WAYS.values()))
    fitting = []
    for way, checkpointing, batch in product(ways, dict.fromkeys((how.gradient_checkpointing, True)), halves):
        keys = {"deepspeed": way, "gradient_checkpointing": checkpointing, "batch_size": batch}
        other = with_way(config, way, **{name: value for name, value in keys.items() if name != "deepspeed"})
        if total(estimate_memory(model, other, cluster, promises)) <= cluster.gigabytes:
            changed = {name: value for name, value in keys.items() if value != getattr(how, name)}
            slow = how.batch_size // batch - 1 + 10 * (way == "zero2_offload") + 5 * (way == "zero3")
            fitting.append((len(changed), slow, changed))
    if not fitting:
        least = "one row, checkpointing and ZeRO-3 included"
        return f"as it is: {now:.1f} of {cluster.gigabytes:g} GiB, and nothing makes it fit, {least}; take more GPUs"
    changed = min(fitting, key=lambda change: change[:2])[2]
    if "batch_size" in changed:
        changed["accumulate"] = how.accumulate * -(-how.batch_size // changed["batch_size"])
    keys_and_values = " ".join(f"training.{name}={yaml_scalar(value)}" for name, value in changed.items())
    return f"as it is: {now:.1f} of {cluster.gigabytes:g} GiB, too much; change {keys_and_values}"


def yaml_scalar(value: str | int | bool | None) -> str:
    """Writes a value of the advice as a YAML reads it: null, true, false, a number, or a bare word."""
    return value if isinstance(value, str) else json.dumps(value)
