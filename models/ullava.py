"""One language model, one pair of eyes, many heads: a single path for training, given answers and generated ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ullava.configs.registry import nearest
from ullava.models.backbones.vision_tower import VisionTower
from ullava.models.batching.batch import Batch, Media
from ullava.models.heads.base import HEADS, Head, looking
from ullava.models.heads.standardise import Standardise
from ullava.models.stages import REGISTERED


@dataclass(frozen=True)  # no slots: ZeRO-3 asks for vars() of what modules return
class Losses:
    """The weighted total, and every unweighted mean: what is minimised and what is logged."""

    total: Tensor
    parts: Mapping[str, Tensor]


def names(media: Media) -> list[str]:
    """A key for each frame, of pictures and of videos."""
    if media.pixels.ndim == 4:
        return list(media.keys)
    return [f"{key}@{frame}" for key in media.keys for frame in range(media.pixels.shape[1])]


def over_time(features: Tensor) -> Tensor:
    """(V, F, patches, W) -> (V, F + patches, W): first each frame's mean over its patches, then each patch's mean over
    time (u-LLaVA, models/ullava_core.py; Video-ChatGPT, arXiv:2306.05424)."""
    return torch.cat([features.mean(2), features.mean(1)], dim=1)


def as_divisor(count: int | Tensor) -> int | Tensor:
    """At least one, so that a step without promises has a loss of zero."""
    return count.clamp(min=1) if isinstance(count, Tensor) else max(count, 1)


def group_of(head: Head, loss: str, counts: Mapping[str, Any]) -> str:
    """What a loss is a mean over, a key of `counts`.

    Raises:
        LookupError: the head's class does not declare the loss, or names nothing that is counted.
    """
    if loss not in head.losses_named:
        raise LookupError(f"head {head.name!r} gives the loss {loss!r}; declare it in its losses_named")
    if (group := head.losses_named[loss]) not in counts:
        raise LookupError(f"head {head.name!r}: losses_named[{loss!r}]: nothing counts {group!r}; {nearest(group, counts)}")
    return group


class Ullava(nn.Module):
    """Answers in words; its heads answer under their tokens.

    Args:
        llm: a Hugging Face causal language model.
        vision: the tower that sees, outside the module tree while it is frozen.
        projector: from the tower's width to the language model's.
        heads: by name; each keeps the promises of its token.
        weights: of every loss, by name.
    """

    def __init__(
        self,
        llm: nn.Module,
        vision: VisionTower,
        projector: nn.Module,
        heads: Mapping[str, Head],
        weights: Mapping[str, float],
    ):
        super().__init__()
        self.llm, self.projector, self.heads = llm, projector, nn.ModuleDict(heads)
        self.vision, self.weights = vision, dict(weights)

    @property
    def config(self) -> Any:
        """The language model's, for those (DeepSpeed) who ask a network how wide it is."""
        return self.llm.config

    @property
    def decoder(self) -> nn.Module:
        """The language model without its last layer."""
        return self.llm.base_model

    @property
    def tokens(self) -> tuple[str, ...]:
        """The owner tokens that some head reads."""
        return tuple(dict.fromkeys(token for head in self.heads.values() for token in head.tokens))

    @property
    def towers(self) -> dict[str, Any]:
        """Everything that stands outside the module tree while it is frozen, by the part that it is."""
        return {"vision": self.vision} | {HEADS[name].tower_part: self.heads[name].tower for name in looking(self.heads)}

    def let_learn(self, part: str) -> None:
        """Registers a tower that learns: from now on it has gradients, is saved, and runs on every rank."""
        tower = self.towers[part]
        tower.learns = True
        setattr(self, REGISTERED[part], tower.module)

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter, by the name it has when it learns: those of frozen towers, and what heads counted, too."""
        yield from self.named_parameters()
        for name, module in self.heads.named_modules(prefix="heads"):
            if isinstance(module, Standardise | nn.BatchNorm1d):
                yield from module.named_buffers(prefix=name)
        for part, tower in self.towers.items():
            if not tower.learns:
                yield from tower.module.named_parameters(prefix=REGISTERED[part])

    def embed(self, batch: Batch) -> Tensor:
        """(B, L, D): words, with the pictures' features where their patches stand."""
        embeds = self.llm.get_input_embeddings()(batch.input_ids)
        seen = [media for media in (batch.pictures, batch.videos) if media is not None]
        features = self.media_tokens(seen)
        for media, found in zip(seen, features, strict=False):
            columns = media.columns[:, None] + torch.arange(found.shape[1], device=embeds.device)
            embeds = embeds.index_put((media.rows[:, None], columns), found.to(embeds.dtype))
        if torch.is_autocast_enabled(embeds.device.type):  # the residual stream is as fine as the layers that read it
            embeds = embeds.to(torch.get_autocast_dtype(embeds.device.type))
        return embeds if seen else embeds + 0 * features[0].sum().to(embeds.dtype)

    def media_tokens(self, seen: Sequence[Media]) -> list[Tensor]:
        """Each medium's features, (items, tokens, D).

        The tower and the projector run once, whatever there is to see: ranks whose batches differ still use the same
        parameters in the same order, or they would wait for each other for ever (ZeRO-3). Without media there is one
        blank, to be multiplied by zero.
        """
        features = self.tower_features(seen)
        found = [over_time(some) if some.ndim == 4 else some for some in features]
        tokens = self.project(torch.cat([some.flatten(0, 1) for some in found]))
        parts = tokens.split([some.shape[0] * some.shape[1] for some in found])
        return [part.unflatten(0, some.shape[:2]) for part, some in zip(parts, found, strict=True)]

    def tower_features(self, seen: Sequence[Media]) -> list[Tensor]:
        """The tower's features: (P, patches, W) of pictures, (V, F, patches, W) of videos, of a blank where is neither.

        A frozen tower is not asked for the blank.
        """
        tower, device = self.vision, self.llm.get_input_embeddings().weight.device
        if not seen and not tower.learns:
            return [torch.zeros(1, 1, tower.width, device=device)]
        blank = torch.zeros(1, tower.view.side, tower.view.side, 3, dtype=torch.uint8, device=device)
        pixels = [media.pixels for media in seen] or [blank]
        frames = [some.flatten(0, -4) for some in pixels]
        features = tower.encode(torch.cat(frames), [name for media in seen for name in names(media)] or [""])
        parts = features.split([len(some) for some in frames])
        return [part.unflatten(0, some.shape[:-3]) for part, some in zip(parts, pixels, strict=True)]

    def project(self, features: Tensor) -> Tensor:
        """The projector, in its own precision."""
        return self.projector(features.to(next(self.projector.parameters()).dtype))

    def forward(self, batch: Batch, counts: Mapping[str, int | Tensor] | None = None) -> Losses:
        """Losses of a batch.

        Args:
            batch: rows with answers.
            counts: denominators of the means ("lm" tokens, "mask" and "box" promises ...): those of the whole optimizer
                step, so that 1 x 8 = 2 x 4 accumulated = 2 ranks; None: this batch's own.
        """
        counts = counts or batch.counts
        states = self.decoder(
            inputs_embeds=self.embed(batch), attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state
        sums, groups = {"lm": self.lm_loss(states, batch).sum()}, {"lm": "lm"}
        for head, predicted in self.run_heads(states, batch):
            for name, losses in head.losses(predicted, batch).items():  # two heads may draw boxes
                groups[name] = group_of(head, name, counts)
                sums[name] = sums.get(name, 0) + losses.sum()
        parts = {name: total / as_divisor(counts[groups[name]]) for name, total in sums.items()}
        return Losses(sum(self.weights[name] * part for name, part in parts.items()), parts)

    def lm_loss(self, states: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of each supervised token, (T,); logits exist only where there is a label."""
        logits = self.llm.lm_head(states[batch.target_rows, batch.target_columns])
        return F.cross_entropy(logits.float(), batch.target_ids, reduction="none")

    def run_heads(self, states: Tensor, batch: Batch):
        """Yields (head, its predictions) for the (B, L, D) last hidden states; who reads another's comes after it."""
        found: dict[str, Any] = {}
        for name, head in self.heads.items():
            promised = [batch.promised[token] for token in head.tokens]
            own, *further = (states[some.rows, some.columns] for some in promised)
            read = (found[head.depends_on],) if head.depends_on else ()
            found[name] = head(own, batch, *further, *read)
            yield head, found[name]
