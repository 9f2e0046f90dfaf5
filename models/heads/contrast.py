"""What a mask shows, compared with what it is called: pictures without masks teach where parts are (seed 000).

A thing and its names meet in one space. The thing is what SAM sees under its mask: under a true one the space learns
what names look like; where there is none, the predicted mask learns where its name is. Or the thing is the [SEG] state.
The names are the promise's words ("handle of the mug", "handle", "mug") as the language model reads them.

The losses are GroupViT's (arXiv:2202.11094), with what small batches need: equal words are one (GroupViT takes them for
different ones), and layers are normalised by themselves, not over the batch.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from ullava.configs.registry import make
from ullava.configs.tokens import SEG
from ullava.datasets.images import View
from ullava.models import losses
from ullava.models.batching.batch import Batch
from ullava.models.heads.base import HEADS, Head, Parts, precision_of
from ullava.models.heads.mask import MaskHead
from ullava.models.heads.named import Ids, meanings, named
from ullava.models.heads.pooling import under

SHARPEST = 100.0  # the most that similarities are multiplied by (CLIP, arXiv:2103.00020, section 2.5)
Norm = Literal["layer", "batch"]


class BatchNorm(nn.BatchNorm1d):
    """Batch statistics where there is a batch, running ones where a rank has a single promise or none."""

    def forward(self, states: Tensor) -> Tensor:
        if len(states) > 1:
            return super().forward(states)
        return F.batch_norm(states, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Sharpness(nn.Module):
    """Multiplies similarities by a learned number; a module, so that one in pieces (ZeRO-3) comes together."""

    def __init__(self, temperature: float):
        super().__init__()
        self.log = nn.Parameter(torch.tensor([math.log(1 / temperature)]))

    def forward(self, similarity: Tensor) -> Tensor:
        return self.log.float().clamp(max=math.log(SHARPEST)).exp() * similarity


NORMS = {"layer": nn.LayerNorm, "batch": BatchNorm}


def projection(width: int, hidden: int, channels: int, norm: Norm) -> nn.Sequential:
    """(N, width) -> (N, channels). Seed 000's ProjectMLP, whose convolutions of a single place are linear layers."""
    return nn.Sequential(nn.Linear(width, hidden), NORMS[norm](hidden), nn.ReLU(), nn.Linear(hidden, channels))


@HEADS.register("contrast")
class ContrastHead(Head):
    """Places each [SEG] among the words of the batch.

    Args:
        width: of the language model.
        seen: channels of SAM's features; view: how a picture lies in its square.
        reads: "mask": SAM's features under the true mask, or where there is none, under the predicted one; "predicted":
            always under that; "state": the [SEG] state.
        channels: of the common space; hidden: of the layer before it.
        norm: "layer", or GroupViT's "batch", over each rank's own promises.
        temperature: that similarities are divided by at first; each of the two losses learns its own.
        gather: take the promises of all ranks for each other's negatives; False: negatives are a rank's own batch. What
            is accumulated is compared bite by bite in either case, so that here 2 x 4 accumulated is not 1 x 8.
    """

    token = SEG
    depends_on = "mask"
    losses_named = {"contrast": "named", "multi_label": "named"}

    def __init__(
        self,
        width: int,
        seen: int,
        view: View,
        *,
        reads: Literal["mask", "predicted", "state"] = "mask",
        channels: int = 256,
        hidden: int = 1024,
        norm: Norm = "layer",
        temperature: float = 0.07,
        gather: bool = False,
    ):
        super().__init__()
        self.reads, self.gather, self.view = reads, gather, view
        self.thing = projection(width if reads == "state" else seen, hidden, channels, norm)
        self.name_of = projection(width, hidden, channels, norm)
        self.by_phrase, self.by_word = Sharpness(temperature), Sharpness(temperature)
        self.table: tuple[nn.Embedding, ...] = ()  # in a tuple, so that it stays the language model's own

    @classmethod
    def build(cls, options: Mapping[str, Any], parts: Parts) -> "ContrastHead":
        """A head on what the mask head sees."""
        mask = parts.heads["mask"]
        assert isinstance(mask, MaskHead)  # `depends_on` sees to it
        given = {"seen": mask.segmenter.prompt_width, "view": mask.segmenter.view}
        return make(cls, options, "model.heads.contrast", width=parts.width, **given)

    def bind_embeddings(self, words: nn.Embedding) -> None:
        """Keeps what the language model reads words by."""
        self.table = (words,)

    def forward(self, states: Tensor, batch: Batch, *further: Any) -> Tensor:
        """(N, channels) float32 of length 1; behind the states comes what the mask head predicted."""
        used = states if self.reads == "state" else under(further[-1], self.view, truly=self.reads == "mask")
        if not len(states):  # every rank uses every parameter, in one order
            used = used.sum(0, keepdim=True)
        return F.normalize(self.thing(used.to(precision_of(self.thing))).float(), dim=-1)[: len(states)]

    def losses(self, predicted: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """contrast, with the whole phrase, and multi_label, with every word; (M,) each, of promises that have words."""
        words = batch.promised[SEG].words
        numbers = [n for n, spelt in enumerate(words) if spelt]
        own = [words[n] for n in numbers]
        things, everyones, start = gathered(predicted[numbers], own) if self.gather else (predicted[numbers], own, 0)
        names = named(everyones, predicted.device)
        (table,) = self.table
        texts = self.name_of(meanings(names.known, table).to(precision_of(self.name_of)))
        with torch.autocast(predicted.device.type, enabled=False):
            similarity = things @ F.normalize(texts.float(), dim=-1).T
            named_losses = {
                "contrast": losses.contrastive(self.by_phrase(similarity[:, : names.whole.shape[1]]), names.whole),
                "multi_label": losses.contrastive(self.by_word(similarity), names.belongs),
            }
        return {name: values[start : start + len(own)] for name, values in named_losses.items()}

    def results(self, predicted: Tensor, batch: Batch) -> list[np.ndarray]:
        """(channels,) float32 of each state, of length 1: its place among words."""
        return list(predicted.detach().float().cpu().numpy())


def gathered(things: Tensor, words: Sequence[Sequence[Ids]]) -> tuple[Tensor, list[Sequence[Ids]], int]:
    """The things and words of all ranks, and where this rank's begin; gradients go back to whom they belong.

    A rank's pieces are filled up to those of the longest. All ranks take part in each step, whatever they have.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return things, list(words), 0
    everyones: list[Sequence[Sequence[Ids]]] = [()] * dist.get_world_size()
    dist.all_gather_object(everyones, list(words))
    longest = max(1, *map(len, everyones))
    filled = torch.cat([things, things.new_zeros(longest - len(things), things.shape[1])])
    parts = [part[: len(some)] for part, some in zip(all_gather(filled), everyones, strict=True)]
    start = sum(len(some) for some in everyones[: dist.get_rank()])
    return torch.cat(parts), [one for some in everyones for one in some], start
