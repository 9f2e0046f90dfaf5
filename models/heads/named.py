"""The words that a batch's promises have, each one once, as vectors to be compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Ids = tuple[int, ...]  # of one word


@dataclass(frozen=True, slots=True)
class Named:
    """Words of N promises, M different ones; the first W are whole phrases.

    Attributes:
        known: the words; where there are none, one that stands for none.
        belongs: (N, M) bool, which words a promise has.
        whole: (N, W) bool, which is its first, the whole phrase.
    """

    known: tuple[Ids, ...]
    belongs: Tensor
    whole: Tensor


def named(words: Sequence[Sequence[Ids]], device: torch.device) -> Named:
    """Numbers the words of promises, each of which has one at least; equal words are one."""
    phrases = dict.fromkeys(spelt[0] for spelt in words) or {(0,): None}
    known = tuple(phrases | dict.fromkeys(word for spelt in words for word in spelt))
    number = {word: n for n, word in enumerate(known)}
    belongs, whole = torch.zeros(len(words), len(known)), torch.zeros(len(words), len(phrases))
    for row, spelt in enumerate(words):
        belongs[row, [number[word] for word in spelt]] = 1
        whole[row, number[spelt[0]]] = 1
    return Named(known, *(table.bool().to(device, non_blocking=True) for table in (belongs, whole)))


@torch.no_grad()
def meanings(known: Sequence[Ids], table: nn.Embedding) -> Tensor:
    """(M, width) float32: the mean of each word's pieces, as the language model reads them.

    They stay where they are, so that what is compared with them cannot bend the language. The table is asked as a
    module, so that one in pieces (ZeRO-3) comes together.
    """
    device = table.weight.device
    pieces = table(torch.tensor([piece for word in known for piece in word], device=device)).float()
    owners = torch.tensor([n for n, word in enumerate(known) for _ in word], device=device)
    counts = torch.tensor([[len(word)] for word in known], device=device)
    return pieces.new_zeros(len(known), pieces.shape[1]).index_add(0, owners, pieces) / counts
