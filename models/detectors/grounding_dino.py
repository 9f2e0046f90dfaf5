"""GroundingDINO in pure PyTorch: finds boxes for words, or for whatever stands in the words' place (arXiv:2303.05499).

Its way is cut where our heads take part in it: `look` sees a picture, `read` reads a text, `find` brings both together.
What is read may be a [LOC] state; what was seen may be kept.

Axes: B pictures, T text tokens, S places of all levels, Q queries, D the detector's width. Boxes are centre x,
centre y, width, height in 0..1 of the picture without its padding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import LongTensor, Tensor
from transformers import GroundingDinoForObjectDetection, GroundingDinoModel
from transformers.models.grounding_dino import modeling_grounding_dino as theirs

from ullava.datasets.structures import Box


@dataclass(frozen=True, slots=True)
class Words:
    """A text as the detector reads it.

    Attributes:
        states: (B, T, D).
        valid: (B, T) bool, False on padding.
        together: (B, T, T) bool, which tokens are of one phrase.
        places: (B, T) running number within the phrase.
    """

    states: Tensor
    valid: Tensor
    together: Tensor
    places: Tensor


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector found.

    Attributes:
        logits: (layers, B, Q, T) of each query for each token, -inf on padding; boxes: (layers, B, Q, 4).
        proposal_logits: (B, S, T), and proposal_boxes (B, S, 4): of every place, from which the queries are chosen.
        memory: (B, S, D) the picture behind the encoder; memory_text: (B, T, D) the text.
        hidden: (layers, B, Q, D) behind each decoder layer; references: (layers + 1, B, Q, 4) the boxes it began with.
        queries: (B, Q) the places chosen, best first.
    """

    logits: Tensor
    boxes: Tensor
    proposal_logits: Tensor
    proposal_boxes: Tensor
    memory: Tensor
    memory_text: Tensor
    hidden: Tensor
    references: Tensor
    queries: Tensor


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a batch: its features (B, D, h, w), codes of its places, and where the picture is (B, h, w)."""

    features: Tensor
    codes: Tensor
    inside: Tensor


def look(detector: GroundingDinoForObjectDetection, pixels: Tensor) -> tuple[Tensor, ...]:
    """(B, 3, H, W) normalised pixels -> the backbone's maps, finest first."""
    return tuple(detector.model.backbone.conv_encoder.model(pixels).feature_maps)


def read(detector: GroundingDinoForObjectDetection, input_ids: Tensor, attention_mask: Tensor) -> Words:
    """Reads (B, T) ids; tokens see those of their own phrase alone, which a stop or a question mark ends."""
    model = detector.model
    # transformers asks for a class that no tensor has at run time
    together, places = theirs.generate_masks_with_special_tokens_and_transfer_map(
        cast(LongTensor, input_ids), cast(LongTensor, model.special_tokens)
    )
    length = detector.config.max_text_len
    ids, together, places = input_ids[:, :length], together[:, :length, :length], places[:, :length]
    states = model.text_backbone(
        ids, attention_mask=together[:, None], token_type_ids=torch.zeros_like(ids), position_ids=places
    ).last_hidden_state
    return Words(model.text_projection(states), attention_mask[:, :length].bool(), together, places)


def find(detector: GroundingDinoForObjectDetection, maps: Sequence[Tensor], inside: Tensor, words: Words) -> Found:
    """Finds what `words` name.

    Args:
        maps: the backbone's, (B, C, h, w) each.
        inside: (B, H, W) bool, which pixels are the picture and not padding.
        words: one text per picture. With several texts in a batch, each sees its own picture alone.
    """
    model = detector.model
    levels = spread(model, maps, inside)
    visible = torch.cat([level.inside.flatten(1) for level in levels], 1)
    shapes = [tuple(level.features.shape[-2:]) for level in levels]
    sizes = torch.tensor(shapes, device=visible.device)
    ratios = torch.stack([model.get_valid_ratio(level.inside, dtype=torch.float32) for level in levels], 1)
    where = {
        "spatial_shapes": sizes, "spatial_shapes_list": shapes, "valid_ratios": ratios,
        "level_start_index": torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]]),
    }  # fmt: skip
    memory, memory_text = model.encoder(
        vision_features=in_line(level.features for level in levels), vision_attention_mask=~visible,
        vision_position_embedding=in_line(level.codes for level in levels),
        text_features=words.states, text_attention_mask=~words.valid, text_position_embedding=None,
        text_self_attention_masks=~words.together, text_position_ids=words.places, return_dict=False, **where,
    )[:2]  # fmt: skip
    proposals, anchors = model.generate_encoder_output_proposals(memory, ~visible, shapes)
    proposal_logits = scores(proposals, memory_text, words)
    proposal_boxes = model.encoder_output_bbox_embed(proposals) + anchors
    queries = proposal_logits.amax(-1).topk(detector.config.num_queries, dim=1).indices
    begin = proposal_boxes.gather(1, queries[..., None].expand(-1, -1, 4)).detach().sigmoid()
    decoded = model.decoder(
        inputs_embeds=model.query_position_embeddings.weight.expand(len(memory), -1, -1), reference_points=begin,
        vision_encoder_hidden_states=memory, vision_encoder_attention_mask=visible,
        text_encoder_hidden_states=memory_text, text_encoder_attention_mask=~words.valid,
        self_attn_mask=None, return_dict=True, **where,
    )  # fmt: skip
    hidden = decoded.intermediate_hidden_states.transpose(0, 1)
    references = torch.cat([begin[None], decoded.intermediate_reference_points.transpose(0, 1)])
    steps = zip(hidden, references, detector.bbox_embed, strict=False)
    boxes = [(regress(state) + torch.special.logit(start, eps=1e-5)).sigmoid() for state, start, regress in steps]
    logits = torch.stack([scores(state, memory_text, words) for state in hidden])
    return Found(
        logits, torch.stack(boxes), proposal_logits, proposal_boxes.sigmoid(), memory, memory_text, hidden, references,
        queries,
    )  # fmt: skip


def spread(model: GroundingDinoModel, maps: Sequence[Tensor], inside: Tensor) -> list[Level]:
    """All levels of the detector's width: those of the backbone, and coarser ones made of its last."""
    projections = list(model.input_proj_vision)
    features = [project(some) for project, some in zip(projections, maps, strict=False)]
    for number, project in enumerate(projections[len(maps) :]):
        features.append(project(features[-1] if number else maps[-1]))
    levels = []
    for some, mark in zip(features, model.level_embed, strict=True):
        mask = F.interpolate(inside[None].float(), some.shape[-2:])[0].bool()
        codes = model.backbone.position_embedding(some, mask).to(some.dtype)
        levels.append(Level(some, codes + mark[:, None, None], mask))
    return levels


def in_line(maps: Iterable[Tensor]) -> Tensor:
    """(B, D, h, w) of each level -> (B, S, D)."""
    return torch.cat([some.flatten(2).transpose(1, 2) for some in maps], 1)


def scores(states: Tensor, text: Tensor, words: Words) -> Tensor:
    """How much each of (B, N, D) is what each token says: (B, N, T), -inf on padding."""
    return (states @ text.transpose(1, 2)).masked_fill(~words.valid[:, None], float("-inf"))


def corners(boxes: Tensor) -> Tensor:
    """Centre x, centre y, width, height -> x0, y0, x1, y1."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def to_pixels(boxes: np.ndarray, size: tuple[int, int]) -> list[Box]:
    """(K, 4) of a picture of size (H, W) -> boxes in its pixels, inside it."""
    height, width = size
    found = corners(torch.from_numpy(boxes)).clamp(0, 1).numpy() * (width, height, width, height)
    return [tuple(row) for row in found.tolist()]
