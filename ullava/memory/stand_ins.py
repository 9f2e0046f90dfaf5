"""Stand-ins for foundations whose folders are not here: configurations alone, as their makers published them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import (
    BertConfig,
    CLIPVisionConfig,
    GroundingDinoConfig,
    LlamaConfig,
    PretrainedConfig,
    SamConfig,
    SamVisionConfig,
    SwinConfig,
)

from ullava.configs.schema import ModelConfig, VisionConfig
from ullava.models.folders.manifest import FOUNDED, open_card
from ullava.models.inheritance import inherit

LLAMAS: dict[str, Any] = {  # LLaMA, arXiv:2302.13971, table 2
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
}
CLIP_L: dict[str, Any] = {  # ViT-L/14, arXiv:2103.00020
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14,
}  # fmt: skip
SAM_H: dict[str, Any] = {  # ViT-H, arXiv:2304.02643
    "hidden_size": 1280, "mlp_dim": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
    "global_attn_indexes": [7, 15, 23, 31],
}  # fmt: skip
SWIN_T: dict[str, Any] = {  # Swin-T, arXiv:2103.14030; groundingdino/config/GroundingDINO_SwinT_OGC.py
    "image_size": 384, "window_size": 7, "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24],
    "out_features": ["stage2", "stage3", "stage4"],
}  # fmt: skip


@contextmanager
def stand_ins(section: ModelConfig, size: str | None) -> Iterator[ModelConfig]:
    """`section` with a folder that holds a configuration in the place of each foundation that is not here.

    Args:
        size: "7b" or "13b", which language model stands in; the other foundations are those of u-LLaVA's recipes.

    Raises:
        FileNotFoundError: a foundation has no config.json, and there is no size.
    """
    with TemporaryDirectory() as place:

        def here(folder: str, name: str, key: str) -> str:
            if Path(folder, "config.json").is_file():
                return folder
            if size is None:
                sizes = " or ".join(LLAMAS)
                raise FileNotFoundError(
                    f"model.{key}: {folder}: no config.json there; give --size {sizes} instead, "
                    "or first train the stage that writes it"
                )
            return write(Path(place, name), shape_of(name, size))

        parent = open_card(section.llm)
        if parent and not Path(parent.config.llm, "config.json").is_file():  # what it stands on is not here
            section, parent = inherit(section, parent), None
        llm = section.llm if parent else here(section.llm, "llm", "llm")
        vision = section.vision or (VisionConfig(tower="") if parent is None else None)
        if vision:
            vision = vision.model_copy(update={"tower": here(vision.tower, "vision", "vision.tower")})
        heads = {name: dict(options or {}) for name, options in section.heads.items()}
        for (head, option), name in FOUNDED.items():
            folder = heads.get(head, {}).get(option)
            if folder and name in SHAPES:
                heads[head][option] = here(folder, name, f"heads.{head}.{option}")
        yield section.model_copy(update={"llm": llm, "vision": vision, "heads": heads})


SHAPES: Mapping[str, PretrainedConfig] = {
    "vision": CLIPVisionConfig(**CLIP_L),
    "sam": SamConfig(vision_config=SamVisionConfig(**SAM_H).to_dict()),
    "detector": GroundingDinoConfig(backbone_config=SwinConfig(**SWIN_T), text_config=BertConfig()),
}


def shape_of(name: str, size: str) -> PretrainedConfig:
    """The configuration that stands in for a foundation."""
    return SHAPES[name] if name in SHAPES else LlamaConfig(vocab_size=32000, tie_word_embeddings=False, **LLAMAS[size])


def write(folder: Path, shape: PretrainedConfig) -> str:
    """A folder as Hugging Face lays it out, without weights."""
    shape.save_pretrained(folder)
    settings = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)
