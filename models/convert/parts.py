"""The empty networks that a published model consists of: from its config and shapes, for what has to be in the file.

Nothing here holds a weight: networks are built on the meta device, and only the shapes of their weights are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM, SamConfig, SamModel

from ullava.configs.schema import LoraConfig
from ullava.datasets.images import View
from ullava.models.backbones.projector import projector
from ullava.models.backbones.vision_tower import read_settings
from ullava.models.convert.kinds import MODEL_KINDS, Kind
from ullava.models.heads.box import BoxHead
from ullava.models.heads.keyword_reader import PUBLISHED, KeywordReader
from ullava.models.lora import add_lora
from ullava.models.segmenters import sam_weights as sam

INNER = ("vision_config", "vision_hidden_layer", "projector_type", "mm_token_ids", "projector_from_scratch")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # openai/clip-vit-*


@dataclass(frozen=True)
class Parts:
    """The sizes of a published model's networks.

    Attributes:
        llm, vision, sam: configs; `sam` is None where there is none.
        projector: our name of its kind.
        layer: the hidden state of CLIP that is read.
        channels: between the two networks of the box head.
        fusion: width of KeySeg's attention.
    """

    llm: LlamaConfig
    vision: CLIPVisionConfig
    sam: SamConfig | None
    projector: Literal["linear", "mlp2"]
    layer: int
    channels: int
    fusion: int = 0


def measure(kind: Kind, settings: Mapping[str, Any], theirs: Mapping[str, Tensor], where: str, **given: Any) -> Parts:
    """The sizes of a model: from its config.json, and what that does not say from shapes.

    Args:
        settings: its config.json.
        theirs: its weights, by their published names.
        given: `vision` (folder of its CLIP), `sam_heads`.

    Raises:
        ValueError: a size is nowhere to be found.
    """
    spoken = settings.get(kind.inner, {}) if kind.inner else settings
    embeddings = [tensor for name, tensor in theirs.items() if name.endswith("model.embed_tokens.weight")]
    if len(embeddings) != 1:
        raise ValueError(f"{where}: model.embed_tokens.weight is missing; this is no whole model of that kind")
    known = LlamaConfig().to_dict().keys() - {"architectures", "model_type", "transformers_version", "dtype"}
    llm = LlamaConfig(
        **{name: value for name, value in spoken.items() if name in known and value is not None}
        | {"vocab_size": len(embeddings[0]), "use_cache": True, "dtype": embeddings[0].dtype}
    )
    if kind.sees:
        vision = CLIPVisionConfig.from_dict(spoken.get("vision_config") or missing(where, "vision_config"))
    else:
        tower = given.get("vision") or missing(where, f"--vision (it names {settings.get('mm_vision_tower')!r})")
        held = read_settings(tower, "config.json", "--vision")
        vision = CLIPVisionConfig.from_dict(held.get("vision_config", held))
    inside = {n.removeprefix(kind.sam): t for n, t in theirs.items() if kind.sam and n.startswith(kind.sam)}
    two = any(name.endswith(("mm_projector.2.weight", "vision_projector.2.weight")) for name in theirs)
    box = [len(tensor) for name, tensor in theirs.items() if name == "det_projector.2.weight"]
    fusion = [len(tensor) for name, tensor in theirs.items() if name == "keyword_fusion.query_proj.weight"]
    segmenter = sam.settings(inside, where, heads=given.get("sam_heads"), prefix=kind.sam) if kind.sam else None
    layer = spoken.get("vision_hidden_layer", settings.get("mm_vision_select_layer", -2))
    return Parts(llm, vision, segmenter, "mlp2" if two else "linear", layer, *(box or [0]), *(fusion or [0]))


def missing(where: str, what: str) -> Any:
    """Says that a size is nowhere to be found."""
    raise ValueError(f"{where}: {what} is missing; without it the model cannot be built")


def shapes(kind: Kind, parts: Parts, adapters: LoraConfig | None = None) -> dict[str, torch.Size]:
    """Our name -> shape of every weight that a file of this kind has to hold."""
    with torch.device("meta"):
        llm, width = LlamaForCausalLM(parts.llm), parts.llm.hidden_size
        modules: dict[str, nn.Module] = {"projector": projector(parts.projector, parts.vision.hidden_size, width)}
        if adapters:
            add_lora(llm, adapters)
        modules["llm"] = llm
        if parts.sam:
            modules["sam"] = SamModel(parts.sam)
            decoder: Any = parts.sam.mask_decoder_config  # a config once it is made, though declared as a dict or None
            channels = decoder.hidden_size
            modules["heads.mask.project"] = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels)
            )
        if kind is MODEL_KINDS["keyseg"]:
            modules["heads.mask.fusion"] = KeywordReader(width, channels, False, **PUBLISHED, attention=parts.fusion)
        if "box" in kind.heads:
            modules["heads.box"] = BoxHead(width, View(1, "pad"), channels=parts.channels)
        eyes = CLIPVisionModel(parts.vision).state_dict() if kind.sees else {}
    found = {f"{part}.{name}": t.shape for part, module in modules.items() for name, t in module.state_dict().items()}
    found = {name.replace(".base_layer.", "."): shape for name, shape in found.items()}
    bare = {name.removeprefix("vision_model."): tensor.shape for name, tensor in eyes.items()}
    return found | {f"vision.vision_model.{name}": shape for name, shape in bare.items()}


def preprocessing(parts: Parts) -> dict[str, Any]:
    """CLIP's preprocessor_config.json, for checkpoints that bring their CLIP without one."""
    side = parts.vision.image_size
    return {
        "image_processor_type": "CLIPImageProcessor", "image_mean": CLIP_MEAN, "image_std": CLIP_STD, "resample": 3,
        "size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "do_center_crop": True,
    }  # fmt: skip


def config_of(folder: Path) -> dict[str, Any]:
    """A published folder's config.json.

    Raises:
        FileNotFoundError, ValueError: there is none, or it is broken.
    """
    return read_settings(str(folder), "config.json", str(folder))
