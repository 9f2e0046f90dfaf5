"""How much memory a stage takes on one GPU, part by part, from the shapes of its foundations alone.

The network is built on PyTorch's meta device, where weights have shapes and no numbers, and `learn:` says what learns.
Weights, gradients and moments are counted; activations follow formulas, each beside the tensors it stands for. They
hold for the longest rows: every token of `max_length` is there, and every one that is no patch is supervised.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn

from ullava.configs.load import CONFIGS
from ullava.configs.schema import RunConfig, TrainingConfig
from ullava.memory.stand_ins import stand_ins
from ullava.models.assembly import PRECISIONS, blueprint
from ullava.models.backbones.vision_tower import Tower
from ullava.models.heads.base import Head
from ullava.models.segmenters.sam import SamTower
from ullava.models.stages import REGISTERED, Learning, prepare
from ullava.models.ullava import Ullava

GIB = 2**30
BUCKET = 50_000_000  # numbers in DeepSpeed's reduction buffers, configs/deepspeed/zero2.json; two of them overlap
RESERVE = 1.5 * GIB  # CUDA's context, its libraries' workspaces and NCCL's buffers; 0 on a CPU
LOOSE = 0.06  # of what PyTorch's allocator holds is lost between blocks


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who trains: `count` GPUs of `gigabytes` GiB each; on a CPU there is no reserve."""

    count: int
    gigabytes: float
    cpu: bool = False


def estimate_memory(model: Ullava, config: RunConfig, cluster: Cluster, promises: int = 1) -> dict[str, float]:
    """Bytes on each GPU, by part; `host` counts the CPU's memory for each GPU, which is no part of the sum.

    Args:
        model: as `blueprint` built it.
        promises: masks asked for in a row.
    """
    how, kind = config.training, PRECISIONS[config.training.precision].itemsize
    stage, offload = kind_of(how.deepspeed, how.fsdp)
    learned = [p for p in model.parameters() if p.requires_grad]
    count = sum(p.numel() for p in learned)
    frozen = sum(p.numel() for p in model.llm.parameters() if not p.requires_grad)
    ours = sum(p.numel() for p in model.parameters() if not p.requires_grad) - frozen
    towers = {name: tower for name, tower in model.towers.items() if not tower.learns}
    cut = cluster.count if stage == 3 else 1  # who has only its piece of each weight
    share = cluster.count if stage else 1  # of gradients and moments
    parts = {
        "frozen language model": frozen * kind / cut,
        "frozen heads and the like": 4 * ours / cut,
        "what learns, float32": 4 * count / cut,
    }
    parts |= {f"tower: {name}": kind * weigh(tower.module) for name, tower in towers.items()}
    optimizer = {"gradients": 4 * count / share, "Adam's moments": 8 * count / share}
    if how.deepspeed:
        optimizer["ZeRO's own copy of what learns"] = 4 * count / share
    parts |= optimizer if not offload else {}
    if cluster.count > 1:
        parts["gathering and reducing"] = gathering(model, stage, kind)
    parts |= activations(model, config, kind, promises, stage)
    parts["reserve: CUDA, NCCL, gaps"] = 0 if cluster.cpu else RESERVE + LOOSE * sum(parts.values())
    return parts | {"host": sum(optimizer.values()) if offload else 0}


def kind_of(deepspeed: str | None, fsdp: bool) -> tuple[int, bool]:
    """(how much is shared out: 0 nothing, 2 gradients and moments, 3 weights too; whether moments are on the host)."""
    if deepspeed is None:
        return (3 if fsdp else 0), False
    path = Path(deepspeed)
    if not path.is_file():
        path = CONFIGS / "deepspeed" / f"{deepspeed}.json"
    settings = json.loads(path.read_text()).get("zero_optimization", {})
    return settings.get("stage", 0), settings.get("offload_optimizer", {}).get("device", "none") != "none"


def weigh(module: nn.Module) -> int:
    """How many numbers its weights are."""
    return sum(parameter.numel() for parameter in module.parameters())


def gathering(model: Ullava, stage: int, kind: int) -> float:
    """Buffers in which ranks exchange what they share."""

    def whole(module: nn.Module) -> float:
        return sum(p.numel() * (4.0 if p.requires_grad else kind) for p in module.parameters())

    if stage < 2:
        return 4.0 * sum(p.numel() for p in model.parameters() if p.requires_grad)  # DDP's buckets hold all gradients
    if stage == 2:
        return 2.0 * 4 * BUCKET
    table = whole(model.llm.get_input_embeddings())
    return max(2 * max(map(whole, layers(model.llm))), table)  # a layer is used, and the next one arrives


def layers(llm: nn.Module) -> list[nn.Module]:
    """The decoder's blocks."""
    return list(max((m for m in llm.modules() if isinstance(m, nn.ModuleList)), key=len))


def activations(model: Ullava, config: RunConfig, kind: int, promises: int, stage: int) -> dict[str, float]:
    """What a forward pass leaves for the backward pass, and what it needs for a moment."""
    how: TrainingConfig = config.training
    shape: Any = model.llm.config
    tokens, learns = how.batch_size * how.max_length, any(p.requires_grad for p in layers(model.llm)[0].parameters())
    spoken = how.batch_size * max(how.max_length - model.vision.patches, 1)
    within, between = tokens * per_token(shape, kind, learns), tokens * shape.hidden_size * kind
    if (lora := config.model.lora) and lora.dropout:  # each adapter drops other inputs, and keeps them and its mask
        within += tokens * len(lora.targets) * (kind + 1) * shape.hidden_size
    deep, checkpointed = shape.num_hidden_layers, how.gradient_checkpointing
    parts = {"language model's activations": deep * between + within if checkpointed else deep * within}
    # Logits as the layer gives them, in float32, their log-softmax, and its gradient.
    output = cast(nn.Linear, model.llm.get_output_embeddings())  # untyped; every language model of ours has one
    parts["logits"] = spoken * output.weight.shape[0] * (kind + 3 * 4.0)
    if kind < 4:  # autocast keeps a copy of every learned matrix until the backward pass; of ZeRO-3's, a layer's
        matrices = [m.weight for m in model.modules() if isinstance(m, nn.Linear) and m.weight.requires_grad]
        parts["autocast's copies"] = kind * sum(p.numel() for p in matrices) / (deep if stage == 3 else 1)
    heads = cast(Iterable[Head], model.heads.values())  # torch types them as mere modules
    of_a_promise = sum(head.activation_bytes(kind) for head in heads)
    parts["heads and their losses"] = how.batch_size * promises * of_a_promise
    parts["towers at work"] = kind * max(seeing(tower, how.batch_size) for tower in model.towers.values())
    return parts


def per_token(shape: Any, kind: int, learns: bool) -> float:
    """Bytes that one block keeps of one token, attention by SDPA (it keeps no scores).

    Two norms keep their float32 input; SDPA its query, keys, values and result; the gated MLP its gate, the gate's
    SiLU and what it is multiplied by. Where a layer's matrices or adapters learn, their inputs stay too.
    """
    width, middle = shape.hidden_size, shape.intermediate_size
    heads = shape.num_attention_heads
    keys = width * (getattr(shape, "num_key_value_heads", None) or heads) // heads
    kept = 2 * 4 * width + kind * (2 * width + 2 * keys + 3 * middle)
    return kept + (kind * (2 * width + middle) if learns else 0)


def seeing(tower: Tower, pictures: int) -> float:
    """Numbers that a tower holds at once: one block's without gradients, all blocks' with them.

    A block holds its MLP's inner layer twice and five times its width; SAM's places carry a score of each other where
    attention is global, twice: relative places are added to them. A frozen tower takes its pictures in portions. Of a
    tower whose blocks grow (Swin) the first is the largest.
    """
    shape = tower.module.config
    cells = (tower.view.side // shape.patch_size) ** 2
    width = getattr(shape, "embed_dim", None) or shape.hidden_size
    block = cells * (5 * width + 2 * inner_width(shape, width))
    spread = 2 * shape.num_attention_heads * cells**2 if isinstance(tower, SamTower) else 0
    if tower.learns:
        return float(pictures * shape.num_hidden_layers * (block + spread))
    return float(min(pictures, tower.at_once) * (block + spread))


def inner_width(shape: Any, width: int) -> int:
    """How wide the inner layer of a block's MLP is; each of transformers' towers says it in its own way."""
    inner = getattr(shape, "mlp_dim", None) or getattr(shape, "intermediate_size", None)
    return inner or int(width * shape.mlp_ratio)


def outline(config: RunConfig, size: str | None = None) -> tuple[Ullava, list[Learning]]:
    """The network without numbers, and the table of what learns.

    Args:
        size: "7b" or "13b", for foundations whose folders are not here.

    Raises:
        FileNotFoundError: a foundation has no config.json, and there is no size.
    """
    with stand_ins(config.model, size) as section:
        network = blueprint(section, learns=tuple(config.learn))
    for part in [tower for tower in REGISTERED if tower in config.learn]:
        network.let_learn(part)
    return network, prepare(network, config.learn)[1]


def total(parts: Mapping[str, float]) -> float:
    """GiB on a GPU."""
    return math.fsum(value for name, value in parts.items() if name != "host") / GIB
