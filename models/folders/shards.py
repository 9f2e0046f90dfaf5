"""Parameters that lie in pieces on several ranks (ZeRO-3, FSDP): whole for a moment, and filled from whole tensors.

Every rank has to call these functions, in the same order. Parameters that are whole already are taken as they are.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def in_pieces(parameter: Tensor) -> bool:
    """Whether DeepSpeed keeps the parameter in pieces."""
    return hasattr(parameter, "ds_id")


def whole(parameter: Tensor) -> Tensor:
    """A parameter as one tensor; its pieces are gathered, and a copy comes to the host."""
    if isinstance(parameter, DTensor):
        return parameter.full_tensor().detach().cpu()
    if in_pieces(parameter):
        import deepspeed

        with deepspeed.zero.GatheredParameters([parameter]):
            return parameter.detach().to("cpu", copy=True)
    return parameter.detach()


def fill(parameter: Tensor, tensor: Tensor) -> None:
    """Puts a whole tensor into a parameter that FSDP may keep in pieces; DeepSpeed fills its own."""
    if isinstance(parameter, DTensor):
        tensor = distribute_tensor(tensor.to(parameter.device), parameter.device_mesh, parameter.placements)
    with torch.no_grad():
        parameter.copy_(tensor)


@contextmanager
def together(engine: nn.Module) -> Iterator[None]:
    """Keeps all weights whole on every rank, so that ranks may answer different numbers of questions.

    Args:
        engine: the network as it trains: itself, or in DeepSpeed's or DDP's hands.
    """
    with ExitStack() as stack:
        if any(in_pieces(parameter) for parameter in engine.parameters()):
            import deepspeed

            stack.enter_context(deepspeed.zero.unwrap_model_for_generation(engine))
        units = [module for module in engine.modules() if isinstance(module, FSDPModule)]
        for unit in units:
            unit.set_reshard_after_forward(False)
            unit.unshard()
        yield
        for unit in units:
            unit.reshard()
            unit.set_reshard_after_forward(unit is not engine)  # the root's pieces come together at once again anyway
