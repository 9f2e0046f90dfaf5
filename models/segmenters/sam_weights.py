"""segment-anything's checkpoints (arXiv:2304.02643): vit_b, vit_l, vit_h, and any other size.

Every size but one follows from the shapes; the number of heads in the mask decoder does not. It is 8 in all that was
published; smaller decoders take the largest power of two that divides their inner width, unless told.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import SamConfig, SamModel

from ullava.configs.registry import listing
from ullava.models.weights.files import open_weights
from ullava.models.weights.table import Line, Table

MLP = (("layers.0", "proj_in"), ("layers.1", "layers.0"), ("layers.2", "proj_out"))  # a three-layer MLP of SAM's
NECK = (("0", "conv1"), ("1", "layer_norm1"), ("2", "conv2"), ("3", "layer_norm2"))
SHRINK = (("0", "conv1"), ("1", "layer_norm1"), ("3", "conv2"), ("4", "layer_norm2"), ("6", "conv3"))
UPSCALE = (("0", "upscale_conv1"), ("1", "upscale_layer_norm"), ("3", "upscale_conv2"))
BLOCK, PROMPT, LAYER = "image_encoder.blocks.{i}", "prompt_encoder", "mask_decoder.transformer.layers.{i}"

TABLE = Table(
    [
        Line("image_encoder.patch_embed.proj.{x}", "vision_encoder.patch_embed.projection.{x}"),
        Line(f"{BLOCK}.norm{{j}}.{{x}}", "vision_encoder.layers.{i}.layer_norm{j}.{x}"),
        Line(f"{BLOCK}.{{x}}", "vision_encoder.layers.{i}.{x}"),
        *(Line(f"image_encoder.neck.{a}.{{x}}", f"vision_encoder.neck.{b}.{{x}}") for a, b in NECK),
        Line("image_encoder.pos_embed", "vision_encoder.pos_embed"),
        Line(
            "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
            (
                "shared_image_embedding.positional_embedding",
                "prompt_encoder.shared_embedding.positional_embedding",
            ),
        ),
        *(Line(f"{PROMPT}.mask_downscaling.{a}.{{x}}", f"{PROMPT}.mask_embed.{b}.{{x}}") for a, b in SHRINK),
        Line("prompt_encoder.point_embeddings.{i}.weight", "prompt_encoder.point_embed.{i}.weight"),
        Line("prompt_encoder.not_a_point_embed.weight", "prompt_encoder.not_a_point_embed.weight"),
        Line("prompt_encoder.no_mask_embed.weight", "prompt_encoder.no_mask_embed.weight"),
        Line(f"{LAYER}.norm{{j}}.{{x}}", f"{LAYER}.layer_norm{{j}}.{{x}}"),
        Line("mask_decoder.transformer.norm_final_attn.{x}", "mask_decoder.transformer.layer_norm_final_attn.{x}"),
        *(Line(f"mask_decoder.output_upscaling.{a}.{{x}}", f"mask_decoder.{b}.{{x}}") for a, b in UPSCALE),
        *(
            Line(f"mask_decoder.output_hypernetworks_mlps.{{i}}.{a}.{{x}}",
                 f"mask_decoder.output_hypernetworks_mlps.{{i}}.{b}.{{x}}")
            for a, b in MLP
        ),
        *(
            Line(f"mask_decoder.iou_prediction_head.{a}.{{x}}", f"mask_decoder.iou_prediction_head.{b}.{{x}}")
            for a, b in MLP
        ),
        Line("mask_decoder.transformer.{x}", "mask_decoder.transformer.{x}"),
        Line("mask_decoder.{x}", "mask_decoder.{x}"),
    ],
    ignored=("pixel_mean", "pixel_std"),
)  # fmt: skip


def open_file(path: str | Path, *, heads: int | None = None, trust: bool = False) -> SamModel:
    """A SAM from a published file.

    Args:
        path: sam_vit_h_4b8939.pth, or the like.
        heads: of the mask decoder's attention; None: as published.
        trust: admit a pickle that holds more than tensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or not a SAM's; lists the keys.
    """
    return build(open_weights(path, trust=trust), str(path), heads=heads)


def build(theirs: Mapping[str, Tensor], where: str, *, heads: int | None = None) -> SamModel:
    """A SAM with published weights, all of them.

    Raises:
        ValueError: a key is unknown, missing, or of another shape; lists them by their published names.
    """
    ours, unknown = TABLE.read(theirs)
    config = settings(theirs, where, heads=heads)
    with torch.device("meta"):
        sam = SamModel(config)
    TABLE.check(ours, unknown, {name: tensor.shape for name, tensor in sam.state_dict().items()}, where)
    sam.load_state_dict(ours, assign=True)
    return sam.float().eval()


def settings(theirs: Mapping[str, Tensor], where: str, *, heads: int | None = None, prefix: str = "") -> SamConfig:
    """The sizes of a published SAM, from its shapes.

    Args:
        prefix: what stands before its names inside another model, for messages.

    Raises:
        ValueError: a key that says a size is missing; lists them.
    """
    needed = (
        "image_encoder.pos_embed", "image_encoder.patch_embed.proj.weight", "image_encoder.blocks.0.attn.rel_pos_h",
        "image_encoder.blocks.0.mlp.lin1.weight", "image_encoder.neck.0.weight", "prompt_encoder.no_mask_embed.weight",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "prompt_encoder.mask_downscaling.6.weight",
        "mask_decoder.transformer.layers.0.mlp.lin1.weight", "mask_decoder.iou_prediction_head.layers.0.weight",
        "mask_decoder.mask_tokens.weight", "mask_decoder.transformer.final_attn_token_to_image.q_proj.weight",
    )  # fmt: skip
    missing = [f"{prefix}{name} is missing" for name in needed if name not in theirs]
    if missing:
        raise ValueError(f"{listing(f'{where}: no checkpoint of segment-anything', missing)}; nothing was loaded")
    pos, patch, rel, mlp, neck, no_mask, matrix, shrink, lin, iou, masks, inner = (theirs[n].shape for n in needed)
    grid, inside = pos[1], inner[0]
    reach = {n: theirs[f"image_encoder.blocks.{n}.attn.rel_pos_h"].shape[0] for n in blocks(theirs)}
    whole = [n for n, rows in reach.items() if rows == 2 * grid - 1]
    windows = [(rows + 1) // 2 for n, rows in reach.items() if n not in whole]
    layers = {name.split(".")[3] for name in theirs if name.startswith("mask_decoder.transformer.layers.")}
    side = {"image_size": grid * patch[-1], "patch_size": patch[-1]}
    return SamConfig(
        vision_config={
            **side, "hidden_size": pos[-1], "num_hidden_layers": len(reach), "num_attention_heads": pos[-1] // rel[-1],
            "mlp_dim": mlp[0], "output_channels": neck[0], "num_pos_feats": matrix[1], "global_attn_indexes": whole,
            "window_size": windows[0] if windows else 14, "initializer_range": 0.02,
        },
        prompt_encoder_config={**side, "hidden_size": no_mask[1], "mask_input_channels": shrink[1]},
        mask_decoder_config={
            "hidden_size": no_mask[1], "mlp_dim": lin[0], "num_hidden_layers": len(layers),
            "num_attention_heads": heads or max(n for n in (1, 2, 4, 8) if inside % n == 0),
            "attention_downsample_rate": no_mask[1] // inside, "num_multimask_outputs": masks[0] - 1,
            "iou_head_hidden_dim": iou[0], "layer_norm_eps": 1e-5,
        },
    )  # fmt: skip


def blocks(theirs: Mapping[str, Tensor]) -> list[int]:
    """Numbers of the encoder's blocks that have relative positions."""
    parts = [name.split(".") for name in theirs if name.endswith(".attn.rel_pos_h")]
    return sorted(int(part[2]) for part in parts)


def published(sam: SamModel) -> dict[str, Tensor]:
    """A SAM's weights by their published names."""
    return TABLE.write(sam.state_dict())
