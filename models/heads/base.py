"""The contract of a head: states under its token in, predictions and losses out, a whole batch at once."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ullava.configs.registry import Registry

HEADS = Registry("head")


class Head(nn.Module, ABC):
    """Keeps the promises of its token.

    Attributes:
        token: the owner token whose promises it keeps.
        extra_tokens: further tokens whose states it reads to do so; may depend on its options.
        depends_on: name of a head whose predictions it reads, and without which it cannot be.
        losses_named: names of the losses it gives (keys of the YAML's `losses:`).
    """

    name: ClassVar[str]
    token: ClassVar[str]
    losses_named: ClassVar[tuple[str, ...]]
    extra_tokens: tuple[str, ...] = ()
    depends_on: ClassVar[str | None] = None

    @property
    def tokens(self) -> tuple[str, ...]:
        """All owner tokens whose states it reads, its own first."""
        return self.token, *self.extra_tokens

    def bind_embeddings(self, words: nn.Embedding) -> None:
        """Told once, when the network stands, what the language model reads words by; most heads need no words."""

    @abstractmethod
    def forward(self, states: Tensor, batch: Any, *further: Any) -> Any:
        """Predicts for each state.

        Args:
            states: (N, width of the language model), in the order of `batch.promises[token]`; N may be 0, and then the
                head runs once on a zero state and returns nothing of it, so that every rank uses every parameter.
            batch: the `Batch`; its `promised[token]` says which picture each state belongs to.
            further: the states of each token in `extra_tokens`, (any number, width), in the order of its promises; then
                what the head that it `depends_on` has predicted.
        """

    @abstractmethod
    def losses(self, predicted: Any, batch: Any) -> Mapping[str, Tensor]:
        """Named vectors: one unweighted number per promise that has a target, empty where there is none."""

    @abstractmethod
    def results(self, predicted: Any, batch: Any) -> list[Any]:
        """Predictions in the original picture, one per state: (H, W) float32 probabilities, or a box in pixels."""

    def scores(self, predicted: Any) -> list[float]:
        """How good it takes each prediction to be, 0 to 1; empty where it has no opinion."""
        return []
