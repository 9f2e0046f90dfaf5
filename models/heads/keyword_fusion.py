"""KeySeg's fusion of what [SEG] and [KEY] say into SAM's prompts (Sensors 2025, 25(20), 6353).

A mask's prompt reads keywords, then looks at its own kind, then passes through an MLP. The published code computed
different things at different times, its paper draws another; each is an option here:

    as published last         residual: false, self_attention: true, mlp: false, upsample: 12, pairing: per_picture
    its main runs             residual: true, self_attention: false, mlp: true, upsample: 12, pairing: per_picture
    the paper's figure        residual: true, self_attention: true, mlp: false, upsample: 12, pairing: per_picture
    ours                      residual: true, self_attention: true, mlp: true, pairing: per_query

Published, all keywords of a picture lie before all of its masks: one sentence changes the masks of another, and with a
single keyword the attention has nothing to choose from, so that without a residual every prompt is the same whatever
[SEG] says. `per_query` shows each mask its own keyword only, and beside it nothing, so that attention says how much of
the word is taken; self-attention is then between the mask's prompt and its word. All that is added begins small: a
LISA checkpoint that goes on with a fusion draws what it drew.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BOUND = 1e4  # of what self-attention reads (KeySeg, model/KISA.py)
SOFT = 0.1  # of the usual size: what is first added to a prompt
Pairing = Literal["per_query", "per_picture"]


class KeywordFusion(nn.Module):
    """Fuses groups of prompts with the keywords that belong to them.

    Axes: G groups, S prompts of one, K keys of one. With `per_query` a group is one prompt and one key.

    Args:
        channels: of SAM's prompts.
        residual: whether each step adds to what it reads.
        self_attention, mlp: whether there is such a step behind the cross-attention.
        upsample: length to which a picture's prompts are stretched before, and from which they come back.
        pairing: what a group is.
        width: of the cross-attention; None: as wide as the prompts.
    """

    def __init__(
        self,
        channels: int,
        *,
        residual: bool = True,
        self_attention: bool = True,
        mlp: bool = True,
        upsample: int | None = None,
        pairing: Pairing = "per_query",
        width: int | None = None,
    ):
        super().__init__()
        self.apart, self.residual, self.upsample = pairing == "per_query", residual, upsample
        if self.apart and upsample:
            raise ValueError(f"upsample: {upsample} copies of one prompt say what it says; per_query takes none")
        width = width or channels
        self.query_proj, self.key_proj, self.value_proj = (nn.Linear(channels, width) for _ in range(3))
        self.out_proj = nn.Linear(width, channels)
        self.self_attn = self.mlp = self.norm1 = self.norm2 = None
        if self_attention:
            names = ("q_proj", "k_proj", "v_proj", "out_proj")
            self.self_attn = nn.ModuleDict({name: nn.Linear(channels, channels) for name in names})
            self.norm1 = nn.LayerNorm(channels) if residual else None
        if mlp:
            self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
            self.norm2 = nn.LayerNorm(channels) if residual else None
        if residual:
            self.begin_softly()

    @torch.no_grad()
    def begin_softly(self) -> None:
        """Makes what every step adds small, but not nothing: all weights have gradients from the first batch on."""
        lasts = [self.out_proj, self.self_attn and self.self_attn["out_proj"], self.mlp and self.mlp[-1]]
        for last in filter(None, lasts):
            last.weight.mul_(SOFT)
            last.bias.zero_()

    def forward(
        self, prompts: Tensor, keys: Tensor, *, counts: Tensor | None = None, seen: Tensor | None = None
    ) -> Tensor:
        """(G, S, C) projected [SEG] states and (G, K, C) projected [KEY] states -> (G, S, C) prompts.

        Args:
            counts: (G,) how many of the S prompts there are, the others are filled up; None: all.
            seen: (G, K) bool, which keys belong to the group, at least one; None: all.
        """
        groups, most = prompts.shape[:2]
        counts = counts if counts is not None else torch.full((groups,), most, device=prompts.device)
        length = self.upsample or most
        there = torch.arange(length, device=prompts.device) < (counts[:, None] if self.upsample is None else length)
        if self.upsample:
            prompts = stretch(prompts, counts, torch.full_like(counts, length), length)
        fused = self.joined(prompts, self.read(prompts, keys, seen))
        if self.self_attn is not None:
            fused = self.joined(fused, self.look_round(fused, keys, there.expand(groups, -1)))
        if self.mlp is not None:
            fused = self.joined(fused, self.mlp(fused if self.norm2 is None else self.norm2(fused)))
        return stretch(fused, torch.full_like(counts, length), counts, most) if self.upsample else fused

    def joined(self, before: Tensor, step: Tensor) -> Tensor:
        """What a step leaves behind."""
        return before + step if self.residual else step

    def read(self, prompts: Tensor, keys: Tensor, seen: Tensor | None) -> Tensor:
        """What the prompts take from the keys."""
        key, value = self.key_proj(keys), self.value_proj(keys)
        if self.apart:  # beside the only key there is nothing, which may be read as well
            key, value = (F.pad(states, (0, 0, 0, 1)) for states in (key, value))
        mask = None if seen is None else seen[:, None]
        return self.out_proj(F.scaled_dot_product_attention(self.query_proj(prompts), key, value, attn_mask=mask))

    def look_round(self, fused: Tensor, keys: Tensor, there: Tensor) -> Tensor:
        """What the prompts take from each other; of a prompt by itself, from its word."""
        assert self.self_attn is not None  # it was asked for
        around = torch.cat([fused, keys], 1) if self.apart else fused
        around = around.clamp(-BOUND, BOUND) if self.norm1 is None else self.norm1(around)
        query, key, value = (self.self_attn[f"{name}_proj"](around) for name in "qkv")
        mask = None if self.apart else there[:, None]
        attended = F.scaled_dot_product_attention(query[:, : fused.shape[1]], key, value, attn_mask=mask)
        return self.self_attn["out_proj"](attended)


def stretch(states: Tensor, lengths: Tensor, wanted: Tensor, most: int) -> Tensor:
    """(G, S, C) -> (G, most, C), linearly between neighbours, as `F.interpolate`; group by group, nothing waits.

    Args:
        lengths, wanted: (G,) how many there are of a group, and how many there will be; the others are filled up.
    """
    places = torch.arange(most, device=states.device) + 0.5
    places = places * (lengths / wanted.clamp(min=1))[:, None] - 0.5  # (G, most), in the old order
    places = torch.minimum(places.clamp(min=0), (lengths[:, None] - 1).clamp(min=0))
    numbers = torch.arange(states.shape[1], device=states.device)
    shares = (1 - (places[..., None] - numbers).abs()).clamp(min=0)  # (G, most, S)
    return (shares @ states.float()).to(states.dtype)
