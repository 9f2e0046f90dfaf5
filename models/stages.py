"""What learns in a stage, as a table instead of a trail of requires_grad."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from ullava.configs.registry import nearest

PARTS = {  # part -> pattern of parameter names; the first match owns the parameter
    "lora": r"\.lora_",
    "embeddings": r"^llm\..*embed_tokens\.",
    "lm_head": r"^llm\.lm_head\.",
    "llm": r"^llm\.",
    "projector": r"^projector\.",
    "unread": r"^vision_module\.(.*\.)?post_layernorm\.",  # behind the layer that is read
    "vision": r"^vision_module\.",
    "sam_encoder": r"^sam_encoder\.",
    "iou_head": r"\.mask_decoder\.iou_prediction_head\.",  # no loss reaches it
    "mask_decoder": r"\.mask_decoder\.",
    "detector": r"^heads\.detector\.finder\.",
    "heads": r"^heads\.",
}

REGISTERED = {  # tower -> its name among the parameters
    "vision": "vision_module", "sam_encoder": "sam_encoder", "detector_backbone": "detector_backbone",
}  # fmt: skip


class Network(Protocol):
    """What stages and folders need to know of the whole network, `Ullava`, which is built on top of them."""

    @property
    def llm(self) -> Any:
        """The language model; transformers does not type its parts."""

    @property
    def towers(self) -> Mapping[str, Any]:
        """Everything that stands outside the module tree while it is frozen, by the part that it is."""
        ...

    def let_learn(self, part: str) -> None:
        """Registers a tower that learns."""

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every parameter, by the name it has when it learns."""
        ...


def register_tower(part: str) -> None:
    """Makes `part` one that `learn:` may name: all parameters of a tower that stands under this name when it learns."""
    if part not in REGISTERED:
        REGISTERED[part] = part
        heads = PARTS.pop("heads")
        PARTS[part] = rf"^{re.escape(part)}\."
        PARTS["heads"] = heads  # the last one


def part_of(name: str) -> str:
    """The part that owns the parameter `name`."""
    for part, pattern in PARTS.items():
        if re.search(pattern, name):
            return part
    raise LookupError(f"parameter {name!r} belongs to no part; add it to models/stages.py: PARTS")


def let_towers_learn(model: Network, learn: Collection[str]) -> None:
    """Registers the towers that `learn` names, in one order on every rank.

    Raises:
        LookupError: the network has no such tower.
    """
    for part in [tower for tower in REGISTERED if tower in learn]:
        if part not in model.towers:
            raise LookupError(f"learn.{part}: this model has no such tower; name heads.mask first")
        model.let_learn(part)


@dataclass(frozen=True, slots=True)
class Learning:
    """One line of the table: a part, its rate (0: frozen), and how many of its numbers learn."""

    part: str
    rate: float
    learning: int
    frozen: int


def prepare(
    model: nn.Module, learn: Mapping[Any, float], *, rows: Sequence[int] | None = None
) -> tuple[list[dict[str, Any]], list[Learning]]:
    """Freezes every part that `learn` does not name.

    Args:
        model: the whole network; its requires_grad flags are set here and nowhere else.
        learn: peak learning rate by part.
        rows: the only rows of the embeddings that learn, or None for all.

    Returns:
        (optimizer groups {name, params, lr}, in the order of PARTS; the table of what learns).

    Raises:
        LookupError: a part in `learn` owns no parameter: nothing would learn, in silence.
    """
    owned: dict[str, list[nn.Parameter]] = {part: [] for part in PARTS}
    for name, parameter in model.named_parameters():
        owned[part_of(name)].append(parameter)
    present = [part for part, parameters in owned.items() if parameters]
    for part in learn:
        if part not in present:
            raise LookupError(f"learn.{part}: this model has no such parameters; {nearest(part, present)}")
    table: list[Learning] = []
    groups: list[dict[str, Any]] = []
    for part in present:
        count = sum(parameter.numel() for parameter in owned[part])
        for parameter in owned[part]:
            parameter.requires_grad_(part in learn)
        learning = count if part in learn else 0
        if part in learn:
            groups.append({"name": part, "params": owned[part], "lr": learn[part]})
            if part == "embeddings" and rows is not None:
                learning = sum(keep_rows(parameter, rows) for parameter in owned[part])
        table.append(Learning(part, learn.get(part, 0.0), learning, count - learning))
    return groups, table


def keep_rows(parameter: nn.Parameter, rows: Sequence[int]) -> int:
    """Lets only `rows` of an embedding learn; without weight decay, Adam leaves a row without gradient as it is."""
    kept = torch.zeros(len(parameter), 1)
    kept[list(rows)] = 1
    parameter.register_hook(lambda gradient: gradient * kept.to(gradient.device, gradient.dtype))
    return len(rows) * parameter.shape[1]
