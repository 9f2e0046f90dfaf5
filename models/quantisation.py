"""Language models in 8 or 4 bits, by bitsandbytes: a 13B answers on a card of 24 or 12 GB.

Only the linear layers inside the language model are quantised (LLM.int8, arXiv:2208.07339; NF4, arXiv:2305.14314).
Embeddings, adapters, projector, towers and the mask decoder stay in 16 bits, and boxes in float32. It is done when all
that was learned is in its place, a layer at a time on the device.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:  # a second, which checks of a YAML need not wait
    from transformers import PreTrainedModel

QUANTISED = ("8bit", "4bit")
BLOCK = 64  # weights that share one scale, in 4 bits


def quantise(llm: "PreTrainedModel", precision: str, device: str | torch.device) -> None:
    """Puts quantised layers in the place of the linear layers of `llm`, but of the one that says words.

    Args:
        precision: 8bit or 4bit.

    Raises:
        ImportError: bitsandbytes is not installed.
    """
    make = {"8bit": eight_bits, "4bit": four_bits}[precision]
    library = open_bitsandbytes(precision)
    kept = llm.get_output_embeddings()
    for name, module in list(llm.named_modules()):
        if type(module) is nn.Linear and module is not kept and ".lora_" not in name:
            parent, _, leaf = name.rpartition(".")
            setattr(llm.get_submodule(parent), leaf, replaced(module, make, library).to(device))


def replaced(layer: nn.Linear, make: Callable, library: ModuleType) -> nn.Linear:
    """A layer with the same weights, to be quantised when it goes to its device."""
    with torch.device("meta"):
        new, weight = make(layer, library)
    new.weight = weight
    new.bias = layer.bias
    return new.requires_grad_(False)


def eight_bits(layer: nn.Linear, library: ModuleType) -> tuple[nn.Linear, nn.Parameter]:
    """A layer of LLM.int8; outliers beyond 6 stay in 16 bits."""
    new = library.nn.Linear8bitLt(
        layer.in_features, layer.out_features, layer.bias is not None, has_fp16_weights=False, threshold=6.0
    )  # fmt: skip
    return new, library.nn.Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False)


def four_bits(layer: nn.Linear, library: ModuleType) -> tuple[nn.Linear, nn.Parameter]:
    """A layer of normal floats with 4 bits, which counts in the precision of its weights."""
    dtype = layer.weight.dtype
    new = library.nn.Linear4bit(
        layer.in_features, layer.out_features, layer.bias is not None, compute_dtype=dtype, quant_type="nf4"
    )  # fmt: skip
    if layer.in_features % BLOCK or layer.out_features % 32:  # its fast path on CPUs (0.50) would fail on such a layer
        new.support_avx512bf16_for_cpu = False
    return new, library.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")


def open_bitsandbytes(precision: str) -> ModuleType:
    """The library, which is optional.

    Raises:
        ImportError: it is not there; names the extra.
    """
    try:
        return import_module("bitsandbytes")  # by name: checkers of types miss it where the extra is not installed
    except ImportError as error:
        raise ImportError(
            f"generation.precision: {precision} needs bitsandbytes ({error}); pip install 'ullava[quant]', or take bf16"
        ) from error
