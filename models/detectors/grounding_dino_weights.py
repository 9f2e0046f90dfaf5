"""IDEA-Research's GroundingDINO checkpoints on a Swin (arXiv:2303.05499): groundingdino_swint_ogc.pth, other sizes.

Sizes follow from the shapes. What shapes do not say is as published: four sampling points, 256 text tokens, a
positional temperature of 20. The text encoder's weights lie inside the file; its configuration and tokenizer do not.
"""

from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

from ullava.configs.registry import listing
from ullava.models.weights.files import open_weights
from ullava.models.weights.table import Line, Table

POINTS = (
    4  # that each head samples on each level, where the file does not say otherwise (arXiv:2010.04159, section 4.1)
)
ENCODER, DECODER = "transformer.encoder", "transformer.decoder"
SWIN, OURS = "backbone.0", "model.backbone.conv_encoder.model"
BLOCK = f"{OURS}.swin.encoder.layers.{{i}}.blocks.{{j}}"
BIAS = SWIN + ".layers.{}.blocks.0.attn.relative_position_bias_table"
TEXT = "model.encoder.layers.{i}.text_enhancer_layer"
FUSION = "model.encoder.layers.{i}.fusion_layer"
DEFORMABLE = "model.encoder.layers.{i}.deformable_layer"
LAYER = "model.decoder.layers.{i}"
FUSED = (
    ("layer_norm_v.{x}", "layer_norm_vision.{x}"), ("layer_norm_l.{x}", "layer_norm_text.{x}"),
    ("gamma_v", "vision_param"), ("gamma_l", "text_param"),
    ("attn.v_proj.{x}", "attn.vision_proj.{x}"), ("attn.l_proj.{x}", "attn.text_proj.{x}"),
    ("attn.values_v_proj.{x}", "attn.values_vision_proj.{x}"), ("attn.values_l_proj.{x}", "attn.values_text_proj.{x}"),
    ("attn.out_v_proj.{x}", "attn.out_vision_proj.{x}"), ("attn.out_l_proj.{x}", "attn.out_text_proj.{x}"),
)  # fmt: skip


def thirds(theirs: str, ours: str, names: tuple[str, str, str] = ("query", "key", "value")) -> Line:
    """A fused projection of query, key and value."""
    return Line(f"{theirs}{{x}}", tuple(f"{ours}.{name}.{{x}}" for name in names), "rows")


TABLE = Table(
    [
        thirds(f"{SWIN}.layers.{{i}}.blocks.{{j}}.attn.qkv.", f"{BLOCK}.attention", ("q_proj", "k_proj", "v_proj")),
        Line(f"{SWIN}.layers.{{i}}.blocks.{{j}}.attn.proj.{{x}}", f"{BLOCK}.attention.o_proj.{{x}}"),
        Line(
            f"{SWIN}.layers.{{i}}.blocks.{{j}}.attn.relative_position_bias_table",
            f"{BLOCK}.attention.relative_position_bias.relative_position_bias_table",
        ),
        Line(f"{SWIN}.layers.{{i}}.blocks.{{j}}.norm1.{{x}}", f"{BLOCK}.layernorm_before.{{x}}"),
        Line(f"{SWIN}.layers.{{i}}.blocks.{{j}}.norm2.{{x}}", f"{BLOCK}.layernorm_after.{{x}}"),
        Line(f"{SWIN}.layers.{{i}}.blocks.{{j}}.mlp.{{x}}", f"{BLOCK}.mlp.{{x}}"),
        Line(f"{SWIN}.layers.{{i}}.downsample.{{x}}", f"{OURS}.swin.encoder.layers.{{i}}.downsample.{{x}}"),
        Line(f"{SWIN}.patch_embed.proj.{{x}}", f"{OURS}.swin.embeddings.patch_embeddings.projection.{{x}}"),
        Line(f"{SWIN}.patch_embed.norm.{{x}}", f"{OURS}.swin.embeddings.norm.{{x}}"),
        *(Line(f"{SWIN}.norm{n}.{{x}}", f"{OURS}.hidden_states_norms.stage{n + 1}.{{x}}") for n in range(4)),
        thirds(f"{ENCODER}.text_layers.{{i}}.self_attn.in_proj_", f"{TEXT}.self_attn"),
        Line(f"{ENCODER}.text_layers.{{i}}.self_attn.out_proj.{{x}}", f"{TEXT}.self_attn.out_proj.{{x}}"),
        Line(f"{ENCODER}.text_layers.{{i}}.linear{{j}}.{{x}}", f"{TEXT}.fc{{j}}.{{x}}"),
        Line(f"{ENCODER}.text_layers.{{i}}.norm1.{{x}}", f"{TEXT}.layer_norm_before.{{x}}"),
        Line(f"{ENCODER}.text_layers.{{i}}.norm2.{{x}}", f"{TEXT}.layer_norm_after.{{x}}"),
        *(Line(f"{ENCODER}.fusion_layers.{{i}}.{theirs}", f"{FUSION}.{ours}") for theirs, ours in FUSED),
        Line(f"{ENCODER}.layers.{{i}}.self_attn.{{x}}", f"{DEFORMABLE}.self_attn.{{x}}"),
        Line(f"{ENCODER}.layers.{{i}}.linear{{j}}.{{x}}", f"{DEFORMABLE}.fc{{j}}.{{x}}"),
        Line(f"{ENCODER}.layers.{{i}}.norm1.{{x}}", f"{DEFORMABLE}.self_attn_layer_norm.{{x}}"),
        Line(f"{ENCODER}.layers.{{i}}.norm2.{{x}}", f"{DEFORMABLE}.final_layer_norm.{{x}}"),
        thirds(f"{DECODER}.layers.{{i}}.self_attn.in_proj_", f"{LAYER}.self_attn"),
        Line(f"{DECODER}.layers.{{i}}.self_attn.out_proj.{{x}}", f"{LAYER}.self_attn.out_proj.{{x}}"),
        thirds(f"{DECODER}.layers.{{i}}.ca_text.in_proj_", f"{LAYER}.encoder_attn_text"),
        Line(f"{DECODER}.layers.{{i}}.ca_text.out_proj.{{x}}", f"{LAYER}.encoder_attn_text.out_proj.{{x}}"),
        Line(f"{DECODER}.layers.{{i}}.catext_norm.{{x}}", f"{LAYER}.encoder_attn_text_layer_norm.{{x}}"),
        Line(f"{DECODER}.layers.{{i}}.cross_attn.{{x}}", f"{LAYER}.encoder_attn.{{x}}"),
        Line(f"{DECODER}.layers.{{i}}.norm1.{{x}}", f"{LAYER}.encoder_attn_layer_norm.{{x}}"),
        Line(f"{DECODER}.layers.{{i}}.norm2.{{x}}", f"{LAYER}.self_attn_layer_norm.{{x}}"),
        Line(f"{DECODER}.layers.{{i}}.norm3.{{x}}", f"{LAYER}.final_layer_norm.{{x}}"),
        Line(f"{DECODER}.layers.{{i}}.linear{{j}}.{{x}}", f"{LAYER}.fc{{j}}.{{x}}"),
        Line(f"{DECODER}.norm.{{x}}", "model.decoder.layer_norm.{x}"),
        Line(f"{DECODER}.ref_point_head.{{x}}", "model.decoder.reference_points_head.{x}"),
        Line("bbox_embed.{i}.{x}", ("bbox_embed.{i}.{x}", "model.decoder.bbox_embed.{i}.{x}")),
        Line("transformer.level_embed", "model.level_embed"),
        Line("transformer.tgt_embed.{x}", "model.query_position_embeddings.{x}"),
        Line("transformer.enc_out_bbox_embed.{x}", "model.encoder_output_bbox_embed.{x}"),
        Line("transformer.enc_output.{x}", "model.enc_output.{x}"),
        Line("transformer.enc_output_norm.{x}", "model.enc_output_norm.{x}"),
        Line("input_proj.{i}.{x}", "model.input_proj_vision.{i}.{x}"),
        Line("feat_map.{x}", "model.text_projection.{x}"),
        Line("bert.{x}", "model.text_backbone.{x}"),
    ],
    ignored=(
        r"transformer\.decoder\.bbox_embed\..*",  # the shared box head again
        r"bert\.embeddings\.position_ids", r"bert\.pooler\..*", r".*\.relative_position_index",
        r"label_enc\.weight",  # of a training scheme that was left out
    ),
)  # fmt: skip
ADDED = f"{OURS}.swin.layernorm."  # transformers' Swin ends with a norm that no detector reads


def open_file(
    path: str | Path, text: str | Path, *, heads: int | None = None, trust: bool = False
) -> GroundingDinoForObjectDetection:
    """A GroundingDINO from a published file.

    Args:
        path: groundingdino_swint_ogc.pth, or the like.
        text: folder of its text encoder (bert-base-uncased), of which only config.json is read.
        heads: of its attention (`nheads` of its program's configuration); None: see `attention_heads`.
        trust: admit a pickle that holds more than tensors.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or not a GroundingDINO's; lists the keys.
    """
    bert = BertConfig.from_pretrained(text, local_files_only=True)
    return build(open_weights(path, trust=trust), str(path), bert, heads)


def build(
    theirs: Mapping[str, Tensor], where: str, text: BertConfig, heads: int | None = None
) -> GroundingDinoForObjectDetection:
    """A GroundingDINO with published weights, all of them.

    Raises:
        ValueError: a key is unknown, missing, or of another shape; lists them by their published names.
    """
    alias = "transformer.decoder."
    copies = [name for name in theirs if name.startswith(alias + "bbox_embed.")]
    torn = [f"{name} differs from {name[len(alias) :]}" for name in copies if differs(theirs, name, name[len(alias) :])]
    if torn:
        raise ValueError(f"{listing(f'{where}: its box head is said to be shared', torn)}; nothing was loaded")
    ours, unknown = TABLE.read(theirs)
    detector = GroundingDinoForObjectDetection(settings(theirs, where, text, heads))
    expected = {name: tensor.shape for name, tensor in detector.state_dict().items() if not name.startswith(ADDED)}
    TABLE.check(ours, unknown, expected, where)
    detector.load_state_dict(ours | {n: t for n, t in detector.state_dict().items() if n.startswith(ADDED)})
    return detector.eval()


def differs(tensors: Mapping[str, Tensor], name: str, other: str) -> bool:
    """Whether two tensors are there and are not the same."""
    return name in tensors and other in tensors and not tensors[name].equal(tensors[other])


def settings(
    theirs: Mapping[str, Tensor], where: str, text: BertConfig, heads: int | None = None
) -> GroundingDinoConfig:
    """The sizes of a published GroundingDINO, from its shapes.

    Raises:
        ValueError: a key that says a size is missing; lists them. Or as `attention_heads`.
    """
    biases = [BIAS.format(n) for n in range(count(theirs, f"{SWIN}.layers."))]
    needed = (
        "transformer.level_embed", "transformer.tgt_embed.weight", f"{SWIN}.patch_embed.proj.weight",
        f"{ENCODER}.layers.0.linear1.weight", f"{DECODER}.layers.0.linear1.weight",
        f"{ENCODER}.layers.0.self_attn.attention_weights.bias", f"{DECODER}.layers.0.cross_attn.attention_weights.bias",
    )  # fmt: skip
    missing = [f"{name} is missing" for name in (*needed, *biases) if name not in theirs]
    if missing:
        raise ValueError(f"{listing(f'{where}: no checkpoint of GroundingDINO', missing)}; nothing was loaded")
    levels, queries, patch, wide, narrow, *weighted = (theirs[name].shape for name in needed)
    encoder, decoder = (shape[0] // levels[0] for shape in weighted)  # heads x points
    heads = heads or attention_heads(encoder, decoder, levels[1], where)
    shared = all(not differs(theirs, f"bbox_embed.0.{x}", name) for name, x in box_heads(theirs))
    return GroundingDinoConfig(
        backbone_config=backbone(theirs, patch), text_config=text.to_dict(), d_model=levels[1],
        num_feature_levels=levels[0], num_queries=queries[0], encoder_ffn_dim=wide[0], decoder_ffn_dim=narrow[0],
        encoder_layers=count(theirs, f"{ENCODER}.layers."), decoder_layers=count(theirs, f"{DECODER}.layers."),
        encoder_attention_heads=heads, decoder_attention_heads=heads,
        encoder_n_points=encoder // heads, decoder_n_points=decoder // heads,
        dropout=0.0, decoder_bbox_embed_share=shared,
    )  # fmt: skip


def attention_heads(encoder: int, decoder: int, width: int, where: str) -> int:
    """The number of attention heads, which no shape tells apart from that of sampled points.

    Args:
        encoder, decoder: heads x points of either.
        width: of the features, which the heads share out.

    Raises:
        ValueError: neither encoder nor decoder can have the usual number of points, or both can, with other heads.
    """
    likely = {
        total // POINTS
        for total, other in ((encoder, decoder), (decoder, encoder))
        if total % POINTS == 0 and other % (total // POINTS) == 0 and width % (total // POINTS) == 0
    }
    if len(likely) != 1:
        found = f"heads x points are {encoder} in its encoder, {decoder} in its decoder"
        raise ValueError(
            f"{where}: {found}, which fits {'several numbers' if likely else 'no usual number'} of heads; "
            "name it (`nheads` of its program): `attention_heads` in a YAML, --attention-heads of `ullava convert`"
        )
    return likely.pop()


def backbone(theirs: Mapping[str, Tensor], patch: tuple[int, ...]) -> SwinConfig:
    """The sizes of a published Swin."""
    stages = range(count(theirs, f"{SWIN}.layers."))
    depths = [count(theirs, f"{SWIN}.layers.{n}.blocks.") for n in stages]
    tables = [theirs[BIAS.format(n)].shape for n in stages]
    # SwinConfig's signature does not name what the contract of a backbone takes
    indices: dict[str, Any] = {"out_indices": [n + 1 for n in stages if f"{SWIN}.norm{n}.weight" in theirs]}
    return SwinConfig(
        embed_dim=patch[0], patch_size=patch[-1], depths=depths, num_heads=[table[1] for table in tables],
        window_size=(isqrt(tables[0][0]) + 1) // 2, drop_path_rate=0.0, **indices,
    )  # fmt: skip


def box_heads(theirs: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """Names of the decoder's box heads, and what stands behind their number."""
    return [(name, name.split(".", 2)[2]) for name in theirs if name.startswith("bbox_embed.")]


def count(theirs: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbers stand behind `prefix` in the names."""
    return len({name[len(prefix) :].split(".")[0] for name in theirs if name.startswith(prefix)})


def published(detector: GroundingDinoForObjectDetection) -> dict[str, Tensor]:
    """A GroundingDINO's weights by their published names; the inverse of `build`, bit for bit."""
    return TABLE.write({n: tensor for n, tensor in detector.state_dict().items() if not n.startswith(ADDED)})
