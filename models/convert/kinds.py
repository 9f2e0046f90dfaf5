"""The published kinds of whole models: what each calls its weights, and how it speaks and sees.

Ours: `llm.` as transformers' LLaMA, `vision.` as CLIP, `sam.` as transformers' SAM, `projector.`, and `heads.`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ullava.configs.registry import nearest
from ullava.models.segmenters import sam_weights as sam
from ullava.models.weights.table import Line, Table

Aspect = Literal["pad", "crop"]
LLAMA = Table(
    [Line("model.{x}", "llm.model.{x}"), Line("lm_head.weight", "llm.lm_head.weight")],
    ignored=(r"model\.layers\.[0-9]+\.self_attn\.rotary_emb\.inv_freq",),
)
CLIP = Table(
    [Line("vision_model.{x}", "vision.vision_model.{x}")],
    ignored=(r"vision_model\.embeddings\.position_ids",),
)

LLAVA = (
    Table([Line("model.mm_projector.{x}", "projector.{x}")], ignored=(r"model\.vision_tower\..*",)) + LLAMA
)  # LLaVA, arXiv:2304.08485; old files hold a copy of CLIP, which is opened from its own folder
LISA = (
    Table([Line("model.text_hidden_fcs.0.{x}", "heads.mask.project.{x}")])
    + sam.TABLE.under("model.visual_model.", "sam.")
    + LLAVA
)  # arXiv:2308.00692
KEYSEG = (
    Table(
        [
            Line("keyword_fusion.{x}", "heads.mask.fusion.attention.{x}"),
            Line("embedding_table_proj.{x}", "heads.mask.fusion.alignment.words.{x}"),
        ],
        ignored=(r"keyword_text_proj\..*", r"keyword_fusion\.(norm[12]|mlp)\..*"),  # of its code, which uses none
    )
    + LISA
)  # Sensors 2025, 25(20), 6353

CORE = (
    CLIP.under("vision_encoder.", "") + Table([Line("vision_projector.{x}", "projector.{x}")]) + LLAMA
)  # u-LLaVA's stage I, arXiv:2311.05348
STAGE_TWO = CORE.under("llm.", "") + sam.TABLE.under("visual_model.", "sam.")
ULLAVA_V1 = Table([Line("text_hidden_fcs.{x}", "heads.mask.project.{x}")]) + STAGE_TWO
ULLAVA = (
    Table(
        [
            Line("seg_projector.{x}", "heads.mask.project.{x}"),
            Line("det_projector.{x}", "heads.box.project.{x}"),
            Line("det_decoder.{x}", "heads.box.regress.{x}"),
        ]
    )
    + STAGE_TWO
)


@dataclass(frozen=True)
class Kind:
    """A kind of published model.

    Attributes:
        table: its names and ours.
        heads: what it decodes.
        sam: what stands before its SAM's names; None where it has none.
        sees: whether it holds its own CLIP.
        inner: key of its config under which the language model's lies; "" where they are one.
        tokens: our name of a token -> its spelling.
        conversation, aspect: how it was trained to speak and see.
    """

    table: Table
    heads: tuple[str, ...] = ()
    sam: str | None = None
    sees: bool = False
    inner: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    conversation: str = "vicuna_v1"
    aspect: Aspect = "crop"


MARKS = {"IMAGE_PATCH": "<im_patch>", "IMAGE_BEGIN": "<im_start>", "IMAGE_END": "<im_end>"}  # LLaVA's
LISAS: Any = {"heads": ("mask",), "sam": "model.visual_model.", "tokens": MARKS}  # what LISA's family has in common
STAGE_ONE = Kind(CORE, sees=True, conversation="simple")
MODEL_KINDS = {
    "llava": Kind(LLAVA, tokens=MARKS),
    "lisa": Kind(LISA, **LISAS),
    "lasagna": Kind(LISA, **LISAS | {"tokens": MARKS | {"SEG": "<ins>", "NEG": "<no_ins>"}}),
    "keyseg": Kind(KEYSEG, **LISAS),
    "ullava_v1": Kind(ULLAVA_V1, heads=("mask",), sam="visual_model.", sees=True, inner="llm_config"),
    "ullava": Kind(ULLAVA, heads=("box", "mask"), sam="visual_model.", sees=True, inner="llm_config", aspect="pad"),
}


def kind_of(name: str, model_type: str | None = None) -> Kind:
    """A kind by its name; u-LLaVA's first stage is told from its second by the config's `model_type`.

    Raises:
        LookupError: no such kind.
    """
    if name not in MODEL_KINDS:
        raise LookupError(f"no kind of checkpoint {name!r}; {nearest(name, [*MODEL_KINDS, 'sam'])}")
    return STAGE_ONE if name.startswith("ullava") and model_type == "ullava_core" else MODEL_KINDS[name]
