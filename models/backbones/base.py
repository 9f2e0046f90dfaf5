"""The contract of a backbone: what reads pictures and words, gives states to heads, and speaks.

Its other half, which needs no weights, is a `MediaLayout` (models/batching/layout.py). Axes: B rows, L tokens, T
generated tokens, D the backbone's width.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ullava.models.backbones.vision_tower import Tower
from ullava.models.batching.batch import Batch
from ullava.models.batching.layout import MediaLayout


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class Prompt:
    """Rows as the decoder takes them.

    Attributes:
        embeds: (B, L, D) words, with features in the places of media.
        attention_mask: (B, L).
        further: what else the decoder takes, by its own names: positions, types of tokens ...
    """

    embeds: Tensor
    attention_mask: Tensor
    further: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generated:
    """Generated answers: ids (B, T), filled up with the pad token, and what `reread` may use of the way there."""

    ids: Tensor
    cache: Any = None


class Backbone(nn.Module, ABC):
    """Reads pictures and words.

    Its children become those of the network, by their names: what they are called is how they are saved, and which part
    of `learn:` they are (models/stages.py).

    Attributes:
        layout: what media become in a row.
        towers: what stands outside the module tree while it is frozen, by the part of `learn:` that it is.
    """

    layout: MediaLayout
    towers: Mapping[str, Tower]

    @property
    @abstractmethod
    def width(self) -> int:
        """D."""

    @property
    @abstractmethod
    def config(self) -> Any:
        """The configuration of what speaks, for those (DeepSpeed) who ask a network how wide it is."""

    @property
    @abstractmethod
    def lora_scope(self) -> nn.Module:
        """The module whose linear layers adapters may stand beside."""

    @abstractmethod
    def encode(self, batch: Batch) -> Prompt:
        """Rows as the decoder takes them.

        What sees pictures runs once whatever there is to see, on a blank where there is nothing: ranks whose batches
        differ use the same parameters in the same order.
        """

    @abstractmethod
    def states(self, prompt: Prompt) -> Tensor:
        """(B, L, D) states behind the last norm."""

    @abstractmethod
    def logits(self, states: Tensor) -> Tensor:
        """(..., D) states -> (..., vocabulary)."""

    @abstractmethod
    def generate(self, prompt: Prompt, options: Mapping[str, Any]) -> Generated:
        """Answers to prompts that are padded at the left.

        Args:
            options: of transformers' `generate`: how to choose, and where to stop.

        Raises:
            ValueError: the options ask for several answers to a prompt.
        """

    @abstractmethod
    def reread(self, prompt: Prompt, generated: Generated) -> Tensor:
        """(B, T + 1, D): the state that emitted each generated token, and that behind the last one."""
