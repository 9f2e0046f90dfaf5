"""What a mask head needs to hear [KEY] beside [SEG]: which keyword belongs to which mask, their fusion, their loss."""

from typing import Any

import torch
from torch import Tensor, nn

from ullava.models.batching.batch import Promised
from ullava.models.heads.keyword_alignment import KeywordAlignment, Way
from ullava.models.heads.keyword_fusion import KeywordFusion, Pairing
from ullava.models.heads.standardise import Standardise

PUBLISHED: dict[str, Any] = {  # KeySeg's released code, model/KISA.py
    "residual": False, "self_attention": True, "mlp": False, "upsample": 12, "pairing": "per_picture",
    "alignment": "first_token",
}  # fmt: skip


class KeywordReader(nn.Module):
    """Fuses the prompts of a batch with its keywords. Options of the YAML are its arguments from `residual` on.

    Args:
        width: of the language model.
        channels: of SAM's prompts.
        standardise: whether to take off the [KEY] states what they have in common, as off those of [SEG].
        residual, self_attention, mlp, upsample, pairing: see `KeywordFusion`.
        alignment: the loss of the keyword; None: none.
        attention: width of the cross-attention.
    """

    def __init__(
        self,
        width: int,
        channels: int,
        standardise: bool,
        *,
        residual: bool = True,
        self_attention: bool = True,
        mlp: bool = True,
        upsample: int | None = None,
        pairing: Pairing = "per_query",
        alignment: Way | None = "mean_infonce",
        attention: int | None = None,
    ):
        super().__init__()
        self.attention = KeywordFusion(
            channels, residual=residual, self_attention=self_attention, mlp=mlp, upsample=upsample, pairing=pairing,
            width=attention,
        )  # fmt: skip
        self.alignment = KeywordAlignment(width, channels, alignment) if alignment else None
        self.standardise = Standardise(width) if standardise else None

    def forward(self, prompts: Tensor, keys: Tensor, masks: Promised, words: Promised) -> Tensor:
        """(N, C) projected [SEG] states and (K, C) projected [KEY] states -> (N, C) prompts.

        Where nothing is promised there is one prompt, or one key, that stands for none and tells nothing.
        """
        if self.attention.apart:
            own = prompts.new_zeros(len(prompts), len(keys))
            own[: len(masks), : len(words)] = pairs(masks, words).to(own.dtype)
            return self.attention(prompts[:, None], (own @ keys)[:, None])[:, 0]
        seen = shared(masks, words, len(keys))  # (Q, K + 1): a picture without keys sees a zero
        keys = torch.cat([keys, keys.new_zeros(1, keys.shape[1])]).expand(len(seen), -1, -1)
        grid = prompts.new_zeros(len(seen), masks.depth, prompts.shape[1])
        pictures, slots = (masks.pictures, masks.slots) if len(masks) else (torch.zeros_like(seen[0, :1].long()),) * 2
        grid[pictures, slots] = prompts
        counts = (pictures == torch.arange(len(seen), device=seen.device)[:, None]).sum(1)
        return self.attention(grid, keys, counts=counts, seen=seen)[pictures, slots]

    def loss(self, keys: Tensor, words: Promised) -> Tensor:
        """(M,) keyword_alignment, of those promises that have words."""
        assert self.alignment is not None  # it was asked for
        return self.alignment(keys, words.words)


def pairs(masks: Promised, words: Promised) -> Tensor:
    """(N, K) bool: the n-th mask of an answer has the n-th keyword of the same answer, if there is one."""
    return (
        (masks.rows[:, None] == words.rows)
        & (masks.turns[:, None] == words.turns)
        & (running(masks)[:, None] == running(words))
    )


def running(promised: Promised) -> Tensor:
    """(N,) how many promises of the same answer stand before each."""
    same = (promised.rows[:, None] == promised.rows) & (promised.turns[:, None] == promised.turns)
    return same.tril(-1).sum(1)


def shared(masks: Promised, words: Promised, count: int) -> Tensor:
    """(Q, count + 1) bool: which keys are about each picture that owns a mask; the last one where no other is."""
    frames = torch.tensor(masks.owners or (-1,), device=masks.rows.device)
    about = torch.tensor(words.owners or (-1,), device=masks.rows.device)[words.pictures]
    seen = torch.zeros(len(frames), count + 1, dtype=torch.bool, device=frames.device)
    seen[:, : len(words)] = frames[:, None] == about
    seen[:, -1] = ~seen.any(1)
    return seen
