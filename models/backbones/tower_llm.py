"""A vision tower, a projector and a language model (LLaVA, arXiv:2304.08485; u-LLaVA, arXiv:2311.05348)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel

from ullava.models.backbones.base import Backbone, Generated, Prompt
from ullava.models.backbones.tower_layout import TowerLayout
from ullava.models.backbones.vision_tower import Tower, VisionTower
from ullava.models.batching.batch import Batch, Media


class TowerLLM(Backbone):
    """The tower's features, projected, stand among the words that a language model reads.

    Args:
        llm: a causal language model of transformers.
        vision: the tower that sees, outside the module tree while it is frozen.
        projector: from the tower's width to the language model's.
        layout: what media become in a row; as many tokens as the tower has patches.
    """

    llm: Any  # whose embeddings and `generate` transformers does not type

    def __init__(self, llm: PreTrainedModel, vision: VisionTower, projector: nn.Module, layout: TowerLayout):
        super().__init__()
        self.llm, self.projector = llm, projector
        self.vision, self.layout = vision, layout

    @property
    def towers(self) -> Mapping[str, Tower]:
        """The tower that sees."""
        return {"vision": self.vision}

    @property
    def width(self) -> int:
        """The language model's."""
        return self.llm.get_input_embeddings().weight.shape[1]

    @property
    def config(self) -> Any:
        """The language model's."""
        return self.llm.config

    @property
    def lora_scope(self) -> nn.Module:
        """The language model."""
        return self.llm

    @property
    def decoder(self) -> nn.Module:
        """The language model without its last layer."""
        return self.llm.base_model

    def encode(self, batch: Batch) -> Prompt:
        """Words, with the pictures' features where their patches stand."""
        return Prompt(self.embed(batch), batch.attention_mask)

    def embed(self, batch: Batch) -> Tensor:
        """(B, L, D): words, with the pictures' features where their patches stand."""
        embeds = self.llm.get_input_embeddings()(batch.input_ids)
        seen = [media for media in (batch.pictures, batch.videos) if media is not None]
        features = self.media_tokens(seen)
        for media, tokens in zip(seen, features, strict=False):
            columns = media.columns[:, None] + torch.arange(tokens.shape[1], device=embeds.device)
            embeds = embeds.index_put((media.rows[:, None], columns), tokens.to(embeds.dtype))
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
        pooled = [over_time(medium) if medium.ndim == 4 else medium for medium in features]
        tokens = self.project(torch.cat([medium.flatten(0, 1) for medium in pooled]))
        parts = tokens.split([medium.shape[0] * medium.shape[1] for medium in pooled])
        return [part.unflatten(0, medium.shape[:2]) for part, medium in zip(parts, pooled, strict=True)]

    def tower_features(self, seen: Sequence[Media]) -> list[Tensor]:
        """The tower's features: (P, patches, W) of pictures, (V, F, patches, W) of videos, of a blank where is neither.

        A frozen tower is not asked for the blank.
        """
        tower, device = self.vision, self.llm.get_input_embeddings().weight.device
        if not seen and not tower.learns:
            return [torch.zeros(1, 1, tower.width, device=device)]
        blank = torch.zeros(1, tower.view.side, tower.view.side, 3, dtype=torch.uint8, device=device)
        pixels = [media.pixels for media in seen] or [blank]
        frames = [medium.flatten(0, -4) for medium in pixels]
        features = tower.encode(torch.cat(frames), [name for media in seen for name in names(media)] or [""])
        parts = features.split([len(medium) for medium in frames])
        return [part.unflatten(0, medium.shape[:-3]) for part, medium in zip(parts, pixels, strict=True)]

    def project(self, features: Tensor) -> Tensor:
        """The projector, in its own precision."""
        return self.projector(features.to(next(self.projector.parameters()).dtype))

    def states(self, prompt: Prompt) -> Tensor:
        """(B, L, D) states behind the last norm."""
        return self.decoder(
            inputs_embeds=prompt.embeds, attention_mask=prompt.attention_mask, use_cache=False, **prompt.further
        ).last_hidden_state

    def logits(self, states: Tensor) -> Tensor:
        """(..., D) -> (..., vocabulary)."""
        return self.llm.lm_head(states)

    def generate(self, prompt: Prompt, options: Mapping[str, Any]) -> Generated:
        """Greedy, sampled or beamed ids, and the prompt's cache where its rows still stand in their order."""
        self.llm.generation_config = transformers.GenerationConfig()  # a folder's own would penalise repetition
        result = self.llm.generate(
            inputs_embeds=prompt.embeds, attention_mask=prompt.attention_mask, **options,
            return_dict_in_generate=True, use_cache=True, synced_gpus=False,
        )  # fmt: skip
        count = len(prompt.embeds)
        if len(result.sequences) != count:
            raise ValueError(
                f"generation.options: expected one answer a question, found {len(result.sequences)} for {count}"
            )
        in_order = options.get("num_beams", 1) == 1
        return Generated(result.sequences, result.past_key_values if in_order else None)

    def reread(self, prompt: Prompt, generated: Generated) -> Tensor:
        """One pass over the answers, on top of the prompt's cache where there is one."""
        length, count = prompt.embeds.shape[1], generated.ids.shape[1]
        answer = self.llm.get_input_embeddings()(generated.ids).to(prompt.embeds.dtype)
        mask = torch.cat([prompt.attention_mask, prompt.attention_mask.new_ones(len(answer), count)], dim=1)
        places = (mask.cumsum(1) - 1).clamp(min=0)
        cache = generated.cache
        if cache is not None:
            cache.crop(length - 1 - cache.get_seq_length())  # negative: so many fewer
            embeds, start = torch.cat([prompt.embeds[:, -1:], answer], dim=1), length - 1
        else:  # beams have moved the cache's rows about
            embeds, start = torch.cat([prompt.embeds, answer], dim=1), 0
        return self.decoder(
            inputs_embeds=embeds, attention_mask=mask, position_ids=places[:, start:], past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state[:, -(count + 1) :]  # fmt: skip


def names(media: Media) -> list[str]:
    """A key for each frame, of pictures and of videos."""
    if media.pixels.ndim == 4:
        return list(media.keys)
    return [f"{key}@{frame}" for key in media.keys for frame in range(media.pixels.shape[1])]


def over_time(features: Tensor) -> Tensor:
    """(V, F, patches, W) -> (V, F + patches, W): first each frame's mean over its patches, then each patch's mean over
    time (u-LLaVA, models/ullava_core.py; Video-ChatGPT, arXiv:2306.05424)."""
    return torch.cat([features.mean(2), features.mean(1)], dim=1)
