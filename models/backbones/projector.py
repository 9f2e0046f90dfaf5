"""From the vision tower's width to the language model's."""

from torch import nn

from ullava.configs.registry import nearest

PROJECTORS = {  # u-LLaVA: `mlp` is ONE linear layer, `mlp2x` is two
    "linear": lambda seen, said: nn.Linear(seen, said),
    "mlp2": lambda seen, said: nn.Sequential(nn.Linear(seen, said), nn.GELU(), nn.Linear(said, said)),
}


def projector(name: str, seen: int, said: int) -> nn.Module:
    """(..., seen) -> (..., said)."""
    if name not in PROJECTORS:
        raise LookupError(f"model.projector: no {name!r}; {nearest(name, PROJECTORS)}")
    return PROJECTORS[name](seen, said)
