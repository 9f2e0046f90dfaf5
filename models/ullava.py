"""A backbone and its heads: one path for training, given answers and generated ones."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from ullava.configs.registry import nearest
from ullava.models.backbones.base import Backbone
from ullava.models.batching.batch import Batch
from ullava.models.heads.base import HEADS, Head, looking
from ullava.models.heads.standardise import Standardise
from ullava.models.stages import REGISTERED


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class Losses:
    """The weighted total, and every unweighted mean: what is minimised and what is logged."""

    total: Tensor
    parts: Mapping[str, Tensor]


def as_divisor(count: int | Tensor) -> int | Tensor:
    """At least one, so that a step without promises has a loss of zero."""
    return count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1)


def group_of(head: Head, loss: str, counts: Mapping[str, Any]) -> str:
    """What a loss is a mean over, a key of `counts`.

    Raises:
        LookupError: the head's class does not declare the loss, or names nothing that is counted.
    """
    if loss not in head.losses_named:
        raise LookupError(f"head {head.name!r} gives the loss {loss!r}; declare it in its losses_named")
    if (group := head.losses_named[loss]) not in counts:
        place = f"head {head.name!r}: losses_named[{loss!r}]"
        raise LookupError(f"{place}: nothing counts {group!r}; {nearest(group, counts)}")
    return group


class Ullava(nn.Module):
    """Answers in words; its heads answer under their tokens.

    Args:
        backbone: what reads and speaks; its children become the network's own.
        heads: by name; each keeps the promises of its token.
        weights: of every loss, by name.

    Attributes:
        trained: a line per stage that taught these weights, see `Card`.
        inherited: names of the weights that lie in the folder of a parent, though they stay frozen here.
    """

    llm: PreTrainedModel
    projector: nn.Module

    def __init__(self, backbone: Backbone, heads: Mapping[str, Head], weights: Mapping[str, float]):
        super().__init__()
        for name, child in backbone.named_children():
            self.add_module(name, child)
        self._backbone = (backbone,)  # in a tuple: its weights are the network's children by their own names
        self.heads, self.weights = nn.ModuleDict(heads), dict(weights)
        self.trained: tuple[Mapping[str, Any], ...] = ()
        self.inherited: frozenset[str] = frozenset()

    def descend(self, trained: Sequence[Mapping[str, Any]], inherited: Iterable[str] = ()) -> None:
        """Notes whose weights these are: a line per stage that taught them, and the names of those a parent holds."""
        self.trained, self.inherited = tuple(trained), frozenset(inherited)

    @property
    def heads_by_name(self) -> dict[str, Head]:
        """The heads, in the order in which they run; torch types what its ModuleDict holds as mere modules."""
        return cast(dict[str, Head], dict(self.heads.items()))

    @property
    def backbone(self) -> Backbone:
        """What reads and speaks."""
        return self._backbone[0]

    @property
    def config(self) -> Any:
        """The language model's, for those (DeepSpeed) who ask a network how wide it is."""
        return self.backbone.config

    @property
    def vision(self) -> Any:
        """The backbone's tower."""
        return self.backbone.towers["vision"]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The owner tokens that some head reads."""
        return tuple(dict.fromkeys(token for head in self.heads_by_name.values() for token in head.tokens))

    @property
    def towers(self) -> dict[str, Any]:
        """Everything that stands outside the module tree while it is frozen, by the part that it is."""
        towers: dict[str, Any] = dict(self.backbone.towers)
        heads = self.heads_by_name
        for name in looking(heads):
            part = HEADS[name].tower_part
            assert part is not None  # `looking` gives those with a tower
            towers[part] = heads[name].tower
        return towers

    def let_learn(self, part: str) -> None:
        """Registers a tower that learns: from now on it has gradients, is saved, and runs on every rank."""
        tower = self.towers[part]
        tower.let_learn()
        setattr(self, REGISTERED[part], tower.module)

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter, by the name it has when it learns: those of frozen towers, and what heads counted, too."""
        yield from self.named_parameters()
        for name, module in self.heads.named_modules(prefix="heads"):
            if isinstance(module, Standardise | nn.BatchNorm1d):
                yield from module.named_buffers(prefix=name)
        for part, tower in self.towers.items():
            if not tower.learns:
                yield from tower.module.named_parameters(prefix=REGISTERED[part])

    def forward(self, batch: Batch, counts: Mapping[str, int | Tensor] | None = None) -> Losses:
        """Losses of a batch.

        Args:
            batch: rows with answers.
            counts: denominators of the means ("lm" tokens, "mask" and "box" promises ...): those of the whole optimizer
                step, so that 1 x 8 = 2 x 4 accumulated = 2 ranks; None: this batch's own.
        """
        counts = counts or batch.counts
        states = self.backbone.states(self.backbone.encode(batch))
        sums, groups = {"lm": self.lm_loss(states, batch).sum()}, {"lm": "lm"}
        for head, predicted in self.run_heads(states, batch):
            for name, losses in head.losses(predicted, batch).items():  # two heads may draw boxes
                groups[name] = group_of(head, name, counts)
                sums[name] = sums.get(name, 0) + losses.sum()
        parts = {name: total / as_divisor(counts[groups[name]]) for name, total in sums.items()}
        total = sum(self.weights[name] * part for name, part in parts.items())
        assert isinstance(total, Tensor)  # there is always "lm"
        return Losses(total, parts)

    def lm_loss(self, states: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of each supervised token, (T,); logits exist only where there is a label."""
        logits = self.backbone.logits(states[batch.target_rows, batch.target_columns])
        return F.cross_entropy(logits.float(), batch.target_ids, reduction="none")

    def run_heads(self, states: Tensor, batch: Batch) -> Iterator[tuple[Head, Any]]:
        """Yields (head, its predictions) for the (B, L, D) last hidden states; who reads another's comes after it."""
        predictions: dict[str, Any] = {}
        for name, head in self.heads_by_name.items():
            promised = [batch.promised[token] for token in head.tokens]
            own, *further = (states[promises.rows, promises.columns] for promises in promised)
            read = (predictions[head.depends_on],) if head.depends_on else ()
            predictions[name] = head(own, batch, *further, *read)
            yield head, predictions[name]
