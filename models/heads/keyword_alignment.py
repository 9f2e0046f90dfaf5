"""The loss that ties a [KEY] state to the word said behind it (KeySeg, Sensors 2025, 25(20), 6353).

Published (`first_token`), the state is classified among all rows of the language model's embeddings, projected; of the
keyword only its first piece counts, which for a phrase is often "the". Ours (`mean_infonce`) compares it with the mean
of all pieces, among the other keywords of the batch and some rows of the vocabulary: only these are projected, and
equal keywords are one. Its negatives are a batch's own, so that here 1 x 8 and 2 x 4 accumulated are not the same.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Way = Literal["first_token", "mean_infonce"]
Words = Sequence[Sequence[Sequence[int]]]  # ids of each word of each promise
TEMPERATURE = 0.07  # KeySeg, model/KISA.py
DRAWN = 256  # rows of the vocabulary that a batch is compared with


class KeywordAlignment(nn.Module):
    """Compares [KEY] states with words.

    Attributes:
        table: what the language model reads words by, in a tuple, so that it stays the language model's own.

    Args:
        width: of the language model; channels: of the projected states.
    """

    table: tuple[nn.Embedding, ...] = ()

    def __init__(self, width: int, channels: int, way: Way):
        super().__init__()
        self.words, self.way = nn.Linear(width, channels), way

    def bind_embeddings(self, words: nn.Embedding) -> None:
        """Takes note of what the language model reads words by."""
        self.table = (words,)

    def forward(self, keys: Tensor, words: Words) -> Tensor:
        """One number for each promise that has words, (M,).

        Args:
            keys: (N, C) projected [KEY] states; of none at all, one that stands for none.
            words: of each promise, N of them; the first of each is meant.
        """
        numbers = [n for n, spelt in enumerate(words) if spelt]
        meant = [tuple(words[n][0]) for n in numbers]
        if not numbers:  # every rank uses every parameter, in one order, forwards and backwards
            blank = self.words(self.embed([0]).to(self.words.weight.dtype))
            return (blank.sum() + keys.sum()).float()[None][:0]
        spelt, truth, apart = getattr(self, self.way)(meant)
        with torch.autocast(keys.device.type, enabled=False):
            pair = keys[numbers].float(), spelt.float()
            likeness = F.normalize(pair[0], dim=-1) @ F.normalize(pair[1], dim=-1).T / TEMPERATURE
        return F.cross_entropy(likeness.masked_fill(apart, -torch.inf), truth, reduction="none")

    def embed(self, ids: Sequence[int] | Tensor) -> Tensor:
        """The language model's rows; asked through it, so that weights in pieces come together.

        With `mean_infonce` they stay as they are, and the states come to them.
        """
        (table,) = self.table
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.way == "first_token"):
            return table(torch.as_tensor(ids, device=table.weight.device))

    def first_token(self, meant: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor, Tensor]:
        """(the whole vocabulary, projected; each keyword's first piece; pairs that do not count: none)."""
        table = self.embed(range(self.table[0].num_embeddings))
        truth, none = torch.tensor([ids[0] for ids in meant]), torch.zeros(1, 1, dtype=torch.bool)
        return self.words(table.to(self.words.weight.dtype)), truth.to(table.device), none.to(table.device)

    def mean_infonce(self, meant: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor, Tensor]:
        """(the batch's keywords and some rows, projected; which is each one's; rows that are a piece of it)."""
        known = list(dict.fromkeys(meant))
        pieces = [piece for ids in known for piece in ids]
        rows = spread(self.table[0].num_embeddings, DRAWN, sum(pieces))
        read = self.embed([*pieces, *rows]).float()
        owners = torch.tensor([n for n, ids in enumerate(known) for _ in ids], device=read.device)
        means = read.new_zeros(len(known), read.shape[1]).index_add(0, owners, read[: len(pieces)])
        means = F.layer_norm(torch.cat([means, read[len(pieces) :]]), read.shape[1:])  # of sums as of means
        truth = torch.tensor([known.index(ids) for ids in meant], device=read.device)
        own = [[False] * len(known) + [row in ids for row in rows] for ids in meant]
        return self.words(means.to(self.words.weight.dtype)), truth, torch.tensor(own, device=read.device)


def spread(count: int, most: int, shift: int) -> list[int]:
    """At most `most` of `count` numbers, evenly apart, other ones at another shift; nothing is drawn by chance."""
    kept = min(count, most)
    return [(n * count // kept + shift) % count for n in range(kept)]
