"""The contract of a head: one file says all there is to know of it, and nothing else has to be edited for it.

A head reads the states under its token, a whole batch at once, and gives predictions and losses. Its class also says
what is known before it stands: its losses and what each is a mean over, the weight files it stands on, the frame it
looks at. So rows can be written, and a YAML be checked, without any weight (`models/processor_from_config.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from ullava.configs.registry import Registry, make
from ullava.configs.schema import LossConfig
from ullava.datasets.images import View
from ullava.models import stages
from ullava.models.backbones.vision_tower import Tower
from ullava.models.batching.batch import Batch
from ullava.models.folders import manifest


@dataclass(frozen=True, slots=True)
class Parts:
    """What is there when a head is made.

    Attributes:
        width: of the backbone's last states.
        view: how a picture lies in the square that the backbone sees.
        heads: the heads that were made before, by name; the one that `depends_on` names is among them.
        losses: the YAML's `losses:`.
        dtype: of a tower that stays frozen.
        from_scratch: names of the foundations that begin with random weights.
        weightless: nothing is read but configurations: the network is made on the meta device.
    """

    width: int
    view: View
    heads: Mapping[str, "Head"] = field(default_factory=dict)
    losses: LossConfig = field(default_factory=LossConfig)
    dtype: torch.dtype = torch.float32
    from_scratch: Collection[str] = ()
    weightless: bool = False

    def begins_random(self, foundation: str) -> bool:
        """Whether only the configuration of a foundation is read, and none of its weights."""
        return self.weightless or foundation in self.from_scratch


class Head(nn.Module, ABC):
    """Keeps the promises of its token.

    Attributes:
        name: under which a YAML attaches it, see `HEADS.register`.
        token: the owner token whose promises it keeps.
        extra_tokens: further tokens whose states it reads to do so; may depend on its options.
        depends_on: name of a head whose predictions it reads, and without which it cannot be.
        losses_named: each loss that it may give -> what it is a mean over, a key of `Batch.counts`: "mask" or "box"
            (the [SEG] or [LOC] with one), "keyword" or "named" (the [KEY] or [SEG] with words), or "[TOKEN].mask",
            "[TOKEN].box", "[TOKEN].words" of any other token.
        loss_weights: the weights of its losses where a YAML gives none; 1 where it is silent, too.
        foundations: each of its options that names a file or folder of weights -> what that is called on a card.
        tower_part: what its tower is called in `learn:`; None: it has no tower.
        tower: what it looks with, outside the module tree while it is frozen.
        takes_any_frame: whether its tower sees whatever frame a batch has, so that another head may choose it.
        precise: whether its weights stay float32 when a model answers in fewer bits.
    """

    name: ClassVar[str]
    token: ClassVar[str]
    losses_named: ClassVar[Mapping[str, str]]
    loss_weights: ClassVar[Mapping[str, float]] = {}
    foundations: ClassVar[Mapping[str, str]] = {}
    depends_on: ClassVar[str | None] = None
    tower_part: ClassVar[str | None] = None
    takes_any_frame: ClassVar[bool] = False
    precise: ClassVar[bool] = False
    extra_tokens: tuple[str, ...] = ()
    tower: Tower

    @classmethod
    def build(cls, options: Mapping[str, Any], parts: Parts) -> "Head":
        """Makes the head of its options in a YAML.

        As it stands here, the constructor takes `width`, and the options as keyword arguments.

        Raises:
            FileNotFoundError, LookupError, ValueError: an option is unknown or wrong, or a part is missing; says the
                key.
        """
        return make(cls, options, f"model.heads.{cls.name}", width=parts.width)

    @classmethod
    def frame(cls, options: Mapping[str, Any]) -> View | None:
        """How a picture lies in the frame that a head with these options looks at; None: it sees no picture.

        Only configurations are read. A head with a tower has a frame.
        """
        return None

    @property
    def tokens(self) -> tuple[str, ...]:
        """All owner tokens whose states it reads, its own first."""
        return self.token, *self.extra_tokens

    def bind_embeddings(self, words: nn.Embedding) -> None:
        """Told once, when the network stands, what the language model reads words by; most heads need no words."""

    @abstractmethod
    def forward(self, states: Tensor, batch: Batch, *further: Any) -> Any:
        """Predicts for each state.

        Args:
            states: (N, width of the backbone), in the order of `batch.promised[token]`; N may be 0, and then the
                head runs once on a zero state and returns nothing of it, so that every rank uses every parameter.
            batch: its `promised[token]` says which picture each state belongs to.
            further: the states of each token in `extra_tokens`, (any number, width), in the order of its promises; then
                what the head that it `depends_on` has predicted.
        """

    @abstractmethod
    def losses(self, predicted: Any, batch: Batch) -> Mapping[str, Tensor]:
        """Named vectors: one unweighted number per promise that has a target, empty where there is none."""

    @abstractmethod
    def results(self, predicted: Any, batch: Batch) -> list[Any]:
        """Predictions in the original picture, one per state: (H, W) float32 probabilities, or a box in pixels."""

    def scores(self, predicted: Any) -> list[float]:
        """How good it takes each prediction to be, 0 to 1; empty where it has no opinion."""
        return []

    def activation_bytes(self, itemsize: int) -> float:
        """Bytes that one promise keeps for the backward pass, with numbers of `itemsize` bytes; 0: too few to count."""
        return 0


H = TypeVar("H", bound=type[Head])


class HeadRegistry(Registry[type[Head]]):
    """Heads by their names. What a class declares goes to the tables of those who may not import heads."""

    def register(self, name: str) -> Callable[[H], H]:
        """Decorates a head's class; see `Registry.register`.

        Raises:
            TypeError: a loss of it is a mean over nothing that is counted.
        """
        enter = super().register(name)

        def decorate(cls: H) -> H:
            for loss, group in cls.losses_named.items():
                if not isinstance(group, str):
                    raise TypeError(f"head {name!r}: losses_named[{loss!r}]: expected what it is a mean over, a name")
            LossConfig.declare({loss: cls.loss_weights.get(loss, 1.0) for loss in cls.losses_named})
            manifest.FOUNDED.update({(name, option): base for option, base in cls.foundations.items()})
            if cls.tower_part:
                stages.register_tower(cls.tower_part)
            return enter(cls)

        return decorate


HEADS = HeadRegistry("head")


def precision_of(module: nn.Module) -> torch.dtype:
    """The precision of a module's weights, to which what it reads is brought."""
    return next(module.parameters()).dtype


def in_order(names: Collection[str]) -> list[str]:
    """Heads in the order in which they are made, whatever order a YAML names them in: who reads another's comes last.

    Raises:
        LookupError: there is no such head, or one that another depends on is not named.
    """
    for name in names:
        if (needed := HEADS[name].depends_on) and needed not in names:
            raise LookupError(f"model.heads.{name}: it reads what {needed} predicts; name the head {needed}, too")
    return sorted(names, key=lambda name: (HEADS[name].depends_on is not None, name))


def looking(names: Collection[str]) -> Iterator[str]:
    """Yields the heads that look at frames; the first one's frame is everyone's.

    Raises:
        ValueError: two heads need frames of their own.
    """
    seeing = [name for name in in_order(names) if HEADS[name].tower_part]
    choosy = [name for name in seeing if not HEADS[name].takes_any_frame]
    if len(choosy) > 1:
        raise ValueError(f"model.heads: {' and '.join(choosy)} look at different frames, and a batch has one; name one")
    yield from choosy
    yield from (name for name in seeing if name not in choosy)
