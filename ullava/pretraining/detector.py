"""Pretrains the detector: from captions that name some of the objects it learns the boxes of those that are named.

Its backbone is the tiny SAM's encoder, frozen: published detectors, too, begin with a pretrained backbone. Every layer
of the decoder learns from the best query for each object, every proposal from the object whose centre is nearest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, SamModel
from transformers.models.grounding_dino.modeling_grounding_dino import GroundingDinoFusionLayer

from ullava.datasets.tiny_world.pixels import draw
from ullava.datasets.tiny_world.scene import SIDE, TRAITS, Scene, sample_scene
from ullava.datasets.tiny_world.words import EXTREMES, SIDES, WORDS, noun, pick
from ullava.models import losses
from ullava.models.detectors.grounding_dino import Found, corners, find, look, read
from ullava.models.tiny import ZOO, tiny_detector, tiny_word_pieces
from ullava.pretraining.tower import normalise

ASKED = (("shape",),) * 5 + (("color",), ("color", "shape"), ("size", "shape"), ("texture", "shape"), TRAITS)
GRID = SIDE // 8  # places along a side of the finest level, which are the first
REACH = 8.0  # pixels around a thing's centre in which a place may propose it
WEIGHTS = {"focal": 1.0, "l1": 5.0, "giou": 2.0}  # arXiv:2303.05499, section 4


@dataclass(frozen=True, slots=True)
class Batch:
    """B pictures with a caption each.

    Attributes:
        pixels: (B, S, S, 3) uint8.
        ids, valid: (B, T) of the caption.
        boxes: for each picture (K, 4) x0, y0, x1, y1 in 0..1, of the things that the caption names.
        named: for each picture (K, T) bool, which tokens name the thing.
    """

    pixels: Tensor
    ids: Tensor
    valid: Tensor
    boxes: tuple[Tensor, ...]
    named: tuple[Tensor, ...]


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of word pieces that knows the words of the world's phrases."""
    related = " ".join((*EXTREMES, *SIDES)).split()
    return tiny_word_pieces([word for words in WORDS.values() for word in words] + related + ["object", "the"])


class Finder(nn.Module):
    """A GroundingDINO on a frozen backbone that has seen the world."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        super().__init__()
        self.detector = tiny_detector(tokenizer)
        backbone = self.detector.model.backbone.conv_encoder.model
        backbone.load_state_dict(seen(SamModel.from_pretrained(ZOO / "sam", dtype=torch.float32).vision_encoder))
        backbone.requires_grad_(False)
        for layer in self.detector.model.encoder.layers:  # 1e-4, as published, would stay shut in a short training
            fusion = cast(GroundingDinoFusionLayer, layer.fusion_layer)
            nn.init.constant_(fusion.vision_param, 0.3)
            nn.init.constant_(fusion.text_param, 0.3)

    def forward(self, batch: Batch) -> Found:
        """The boxes found for the captions, and how well each token of them fits each box."""
        with torch.no_grad():
            maps = look(self.detector, normalise(batch.pixels))
        inside = torch.ones(batch.pixels.shape[:3], dtype=torch.bool)
        return find(self.detector, maps, inside, read(self.detector, batch.ids, batch.valid))


def seen(encoder: nn.Module) -> dict[str, Tensor]:
    """A SAM encoder's weights under the names of a ViTDet, without its neck; the place of a class token is empty."""
    names = {
        "patch_embed.projection.": "embeddings.projection.", "layers.": "encoder.layer.",
        "attn.": "attention.", "layer_norm1.": "norm1.", "layer_norm2.": "norm2.",
        "mlp.lin1.": "mlp.fc1.", "mlp.lin2.": "mlp.fc2.",
    }  # fmt: skip
    weights = {}
    for name, tensor in encoder.state_dict().items():
        if name == "pos_embed":
            codes = tensor.flatten(1, 2)
            weights["embeddings.position_embeddings"] = F.pad(codes, (0, 0, 1, 0))
        elif not name.startswith("neck."):
            for theirs, ours in names.items():
                name = name.replace(theirs, ours)
            weights[name] = tensor
    return weights


def loss(model: Finder, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Focal loss of every token, L1 and GIoU of the things named; of each decoder layer and of the proposals."""
    predictions = model(batch)
    count = max(sum(len(boxes) for boxes in batch.boxes), 1)
    stages = [(*stage, match) for stage in zip(predictions.logits, predictions.boxes, strict=True)]
    stages.append((predictions.proposal_logits, predictions.proposal_boxes, nearest))
    sums = dict.fromkeys(WEIGHTS, torch.zeros(()))
    for logits, boxes, choose in stages:
        boxes = corners(boxes)
        truth = torch.zeros_like(logits)
        pairs = []
        for n in range(len(logits)):
            queries, things = choose(logits[n].detach(), boxes[n].detach(), batch.boxes[n], batch.named[n])
            truth[n, queries] = batch.named[n][things].float()
            pairs.append((boxes[n, queries], batch.boxes[n][things]))
        ours, theirs = (torch.cat(column) for column in zip(*pairs, strict=True))
        share = count / max(len(ours), 1)  # several places may propose one thing
        focal = losses.focal(logits.masked_fill(~batch.valid[:, None], -1e4), truth)
        sums["focal"] = sums["focal"] + (focal * batch.valid[:, None]).sum() * share / count
        sums["l1"] = sums["l1"] + losses.box_l1(ours, theirs).sum() * share / count
        sums["giou"] = sums["giou"] + losses.box_giou(ours, theirs).sum() * share / count
    total = sum((WEIGHTS[name] * value for name, value in sums.items()), torch.zeros(()))
    return total / len(stages), sums


def match(logits: Tensor, boxes: Tensor, truth: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
    """One query for each thing, by least cost in all (arXiv:2005.12872): queries and things, (K,) each."""
    p = logits.sigmoid()
    gain = 0.75 * p**2 * -(1 - p + 1e-8).log()
    cost = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log() - gain
    words = named.float()
    price = 2 * cost.nan_to_num() @ words.T / words.sum(1).clamp(min=1)
    grid = boxes[:, None].expand(-1, len(truth), -1).flatten(0, 1), truth.repeat(len(boxes), 1)
    price += (5 * losses.box_l1(*grid) + 2 * losses.box_giou(*grid)).view(len(boxes), -1)
    queries, things = linear_sum_assignment(price.numpy())
    return torch.from_numpy(queries), torch.from_numpy(things)


def nearest(logits: Tensor, boxes: Tensor, truth: Tensor, named: Tensor) -> tuple[Tensor, Tensor]:
    """Every place of the finest level within `REACH` of a centre, and the thing that is there."""
    line = (torch.arange(GRID) + 0.5) / GRID
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2)
    if not len(truth):
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    far = (places[:, None] - (truth[:, :2] + truth[:, 2:]) / 2).abs().amax(-1)
    distance, thing = far.min(1)
    queries = torch.nonzero(distance < REACH / SIDE)[:, 0]
    return queries, thing[queries]


def sample(rng: np.random.Generator, tokenizer: PreTrainedTokenizerBase, count: int) -> Batch:
    """Draws `count` pictures and a caption for each."""
    scenes = [sample_scene(rng) for _ in range(count)]
    asked = [ask(scene, rng) for scene in scenes]
    texts = [" . ".join(noun(wanted) for wanted in phrases) + " ." for phrases in asked]
    encoded = tokenizer(texts, padding=True, return_tensors="pt", return_offsets_mapping=True)
    boxes, named = zip(*map(target, scenes, asked, encoded["offset_mapping"].numpy()), strict=True)
    pixels = torch.from_numpy(np.stack([draw(scene, rng) for scene in scenes]))
    return Batch(pixels, encoded["input_ids"], encoded["attention_mask"].bool(), boxes, named)


def ask(scene: Scene, rng: np.random.Generator) -> list[dict[str, str]]:
    """One to three phrases; one in eight differs in a word from what is there."""
    phrases = []
    for _ in range(int(rng.integers(1, 4))):
        thing = pick(scene.things, rng)
        wanted = {kind: getattr(thing, kind) for kind in pick(ASKED, rng)}
        if rng.random() < 0.125:
            kind = pick(tuple(wanted), rng)
            wanted[kind] = pick(WORDS[kind], rng)
        if wanted not in phrases:
            phrases.append(wanted)
    return phrases


def target(scene: Scene, phrases: list[dict[str, str]], offsets: np.ndarray) -> tuple[Tensor, Tensor]:
    """Boxes (K, 4) in 0..1 of the objects that a phrase names, and which of T tokens name each, (K, T) bool.

    Args:
        offsets: (T, 2) where each token begins and ends in the caption.
    """
    named = np.zeros((len(scene.things), len(offsets)), bool)
    begin = 0
    for wanted in phrases:
        end = begin + len(noun(wanted))
        inside = (offsets[:, 0] >= begin) & (offsets[:, 1] <= end) & (offsets[:, 1] > offsets[:, 0])
        named[np.ix_(np.asarray(scene.having(wanted), int), np.flatnonzero(inside))] = True
        begin = end + len(" . ")
    kept = named.any(1)
    boxes = np.array([thing.box for thing in scene.things], np.float32) / SIDE
    return torch.from_numpy(boxes[kept]), torch.from_numpy(named[kept])


class Captioned(IterableDataset):
    """An endless stream of batches."""

    def __init__(self, seed: tuple[int, ...], tokenizer: PreTrainedTokenizerBase, batch_size: int):
        self.seed, self.tokenizer, self.batch_size = seed, tokenizer, batch_size

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield sample(rng, self.tokenizer, self.batch_size)


def batches(seed: tuple[int, ...], tokenizer: PreTrainedTokenizerBase, batch_size: int) -> Iterator[Batch]:
    """An endless stream of batches, drawn in another process."""
    return iter(DataLoader(Captioned(seed, tokenizer, batch_size), batch_size=None, num_workers=1, prefetch_factor=4))


@torch.no_grad()
def measure(model: Finder, held: list[Batch], threshold: float = 0.25) -> dict[str, float]:
    """Of the things named: the share found (a query over the threshold with IoU >= .5), and the best box's mean IoU."""
    ious, hits, kept, right = [], [], 0, 0
    for batch in held:
        predictions = model.eval()(batch)
        for n, truth in enumerate(batch.boxes):
            boxes = corners(predictions.boxes[-1, n])
            sure = predictions.logits[-1, n].sigmoid().amax(-1) > threshold
            overlap = overlaps(boxes, truth)
            best = (overlap * sure[:, None]).amax(0)
            ious.append(best)
            hits.append((best > 0.5).float())
            kept += int(sure.sum())
            right += int((overlap[sure].amax(1) > 0.5).sum()) if len(truth) and sure.any() else 0
    model.train()
    return {
        "recall": torch.cat(hits).mean().item(),
        "iou": torch.cat(ious).mean().item(),
        "precision": right / max(kept, 1),
    }


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """IoU of each of (N, 4) with each of (M, 4) corners: (N, M)."""
    low, high = torch.maximum(a[:, None, :2], b[:, :2]), torch.minimum(a[:, None, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1] - shared).clamp(min=1e-9)


def held_out(seed: tuple[int, ...], tokenizer: PreTrainedTokenizerBase) -> list[Batch]:
    """Batches for measuring, drawn from a seed that training does not use."""
    rng = np.random.default_rng(seed)
    return [sample(rng, tokenizer, 32) for _ in range(4)]
