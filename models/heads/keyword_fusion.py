"""KeySeg's fusion of what [SEG] and [KEY] say of one picture into SAM's prompts (Sensors 2025, 25(20), 6353).

As its published code computes it: no residual, no norm, no MLP, though the checkpoint holds weights of all three. With
one [KEY] its attention has nothing to choose from, and every prompt is the same whatever [SEG] says.
"""

import torch.nn.functional as F
from torch import Tensor, nn

LENGTH = 12  # of the sequence to which [SEG] states are stretched (KeySeg, model/KISA.py)
BOUND = 1e4  # of what self-attention reads


class KeywordFusion(nn.Module):
    """Reads the keys of a picture for each of its masks.

    Args:
        channels: of SAM's prompts.
        width: of the attention.
    """

    def __init__(self, channels: int, *, width: int = 256):
        super().__init__()
        self.query_proj, self.key_proj, self.value_proj = (nn.Linear(channels, width) for _ in range(3))
        self.out_proj = nn.Linear(width, channels)
        names = ("q_proj", "k_proj", "v_proj", "out_proj")
        self.self_attn = nn.ModuleDict({name: nn.Linear(channels, channels) for name in names})

    def forward(self, prompts: Tensor, keys: Tensor) -> Tensor:
        """(S, C) projected [SEG] states and (K, C) projected [KEY] states of one picture -> (S, C) prompts."""
        asked = self.query_proj(stretch(prompts, LENGTH))
        read = F.scaled_dot_product_attention(asked[None], self.key_proj(keys)[None], self.value_proj(keys)[None])
        fused = self.out_proj(read[0])[None].clamp(-BOUND, BOUND)
        query, key, value = (self.self_attn[f"{name}_proj"](fused) for name in "qkv")
        return stretch(self.self_attn["out_proj"](F.scaled_dot_product_attention(query, key, value))[0], len(prompts))


def stretch(states: Tensor, length: int) -> Tensor:
    """(S, C) -> (length, C), linearly between neighbours."""
    return F.interpolate(states.T[None], size=length, mode="linear")[0].T
