"""Our folders, as transformers' `AutoModelForCausalLM` opens them.

    import ullava.auto
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained("runs/ullava_stage2")
    answer = model.ask("Can you segment the dog?", "dog.jpg", num_beams=4)
    answer.text, answer.masks, answer.boxes

One path: `ask` is the Answerer of evaluation and inference, which generates by transformers' own `generate`, all of
whose options it takes.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from ullava.configs.load import build
from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Dialogue
from ullava.models.answering import Answerer, open_answerer
from ullava.models.asking import Pictures, Reply, Turns, dialogues, reply
from ullava.models.auto_config import UllavaConfig
from ullava.models.backbones.tower_batch import batch_of_pixels
from ullava.models.convert.whole import write_whole

PRECISIONS = {"auto": "fp32", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}  # transformers' name -> ours
FROM_AUTO = {"_from_auto", "adapter_kwargs", "_commit_hash", "trust_remote_code"}  # what transformers' Auto classes add
OF_THE_FOLDER = ("precision", "workers")  # of `generation:`, which no single question can change


class UllavaForCausalLM(PreTrainedModel):
    """A run, a checkpoint, a merged or a converted folder, ready to be asked.

    Args:
        config: of its folder.
        answerer: which asks it.
    """

    config_class = UllavaConfig

    def __init__(self, config: UllavaConfig, answerer: Answerer):
        super().__init__(config)
        self.answerer, self.network = answerer, answerer.model
        self.eval()

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, config: UllavaConfig | None = None,
        dtype: torch.dtype | str | None = None, torch_dtype: torch.dtype | str | None = None,
        device: torch.device | str | None = None, device_map: Any = None,
        precision: str | None = None, allow_mismatch: bool = False, **others: Any,
    ) -> "UllavaForCausalLM":  # fmt: skip
        """Opens a folder, from any working directory.

        Args:
            dtype, torch_dtype: of the weights, as transformers names it: torch.bfloat16, "bfloat16", "auto" (fp32) ...
            device, device_map: where the network lives: "cuda", "cuda:1", "cpu", {"": 0}; "auto" or None: the GPU
                where there is one. One network lives on one device.
            precision: of the weights, as `generation.precision` names it, so "8bit" and "4bit", too; None: fp32.
            allow_mismatch: stand on other foundations than it was trained on.
            others: transformers' own; none of them is taken.

        Raises:
            FileNotFoundError, ValueError: there is no such folder, or it does not hold what it says; two precisions or
                devices at once; a device map over several devices.
            TypeError: an argument that nothing here would obey.
        """
        unknown = sorted(name for name in others.keys() - FROM_AUTO if others[name])
        if unknown:
            raise TypeError(
                f"{folder}: no argument {', '.join(unknown)}; there are dtype, device_map, precision, allow_mismatch"
            )
        wanted = {precision_named(name) for name in (dtype, torch_dtype, precision) if name}
        if len(wanted) > 1:
            raise ValueError(f"{folder}: expected one precision, found {', '.join(sorted(wanted))}; name one of them")
        how = build(GenerationConfig, {"precision": next(iter(wanted), "fp32")}, str(folder))
        place = device_named(device, device_map)
        answerer = open_answerer(str(folder), how, allow_mismatch=allow_mismatch, device=place)
        return cls(config or UllavaConfig.from_pretrained(folder), answerer)

    @overload
    def ask(self, question: str, picture: Pictures = None, *, turns: Turns = (), **options: Any) -> Reply: ...

    @overload
    def ask(
        self, question: Sequence[str], picture: Pictures | Sequence[Pictures] = None, *,
        turns: Sequence[Turns] = (), **options: Any,
    ) -> list[Reply]: ...  # fmt: skip

    def ask(
        self, question: str | Sequence[str], picture: Pictures | Sequence[Pictures] = None, *,
        turns: Turns | Sequence[Turns] = (), **options: Any,
    ) -> Reply | list[Reply]:  # fmt: skip
        """Answers one question, or several at once, about pictures, videos, or nothing.

        Args:
            question: a text, or a list of N texts, which are answered in batches of `batch_size` (16).
            picture: what the question is about: a path, a PIL image of any mode, a numpy array (H, W), (H, W, 3) or
                (H, W, 4), a torch tensor (3, H, W), both of uint8 or of floats from 0 to 1, a `Video`, or a list of
                these. Of N questions: one picture for all, or N, each of them None, one, or a list.
            turns: the conversation before the question: (question, answer) pairs, or the `Reply` that it goes on from.
                Of N questions: N of them. A conversation's picture is given with every question.
            options: of transformers' `generate`, and of `generation:` in a YAML (max_new_tokens, temperature, top_p,
                num_beams, seed, batch_size). They hold for this call alone.

        Returns:
            A `Reply`, whose masks (H, W) and boxes are in the frame of the upright original picture; of several
            pictures, of the last one. A list of N for a list of questions.

        Raises:
            FileNotFoundError: there is no file at a path.
            TypeError: a picture of another kind.
            ValueError: a URL, which is never fetched; a picture of another shape, type or range; another number of
                pictures or conversations than of questions; an option that does not hold.
        """
        replies = self._answer(dialogues(question, picture, turns), options)
        return replies[0] if isinstance(question, str) else replies

    def _answer(self, asked: list[Dialogue], options: Mapping[str, Any]) -> list[Reply]:
        """The replies to open dialogues, asked with these options and none of an earlier call."""
        ours = {key: value for key, value in options.items() if key in GenerationConfig.model_fields}
        if fixed := [key for key in OF_THE_FOLDER if key in ours]:
            raise ValueError(f"ask: {fixed[0]} is not an option of a question; give it to from_pretrained")
        theirs = {key: value for key, value in options.items() if key not in ours} | ours.pop("options", {})
        section = self.answerer.generation.model_dump() | ours | {"options": theirs}
        answerer = copy.copy(self.answerer)
        answerer.generation = build(GenerationConfig, section, "ask")
        size = answerer.generation.batch_size
        answers = [answer for n in range(0, len(asked), size) for answer in answerer(asked[n : n + size])]
        return [reply(dialogue, answer) for dialogue, answer in zip(asked, answers, strict=True)]

    def forward(
        self, input_ids: Tensor | None = None, *, pixel_values: Tensor | None = None,
        pixel_values_videos: Tensor | None = None, **named: Any,
    ) -> Any:  # fmt: skip
        """The language model's own, on ids or on a processor's batch.

        Args:
            input_ids: (B, L).
            pixel_values: (P, S, S, 3) uint8; pixel_values_videos: (V, F, S, S, 3) uint8: as `UllavaProcessor` gives
                them, in the order in which their patches stand in `input_ids`.
            named: of the language model: attention_mask, labels ...

        Returns:
            The language model's output: logits (B, L, vocabulary), and the loss where there are labels.
        """
        seen = self._embedded(input_ids, pixel_values, pixel_values_videos)
        llm: Any = self.network.llm
        return llm(input_ids, **named) if seen is None else llm(inputs_embeds=seen, **named)

    def generate(
        self, inputs: Tensor | None = None, *, input_ids: Tensor | None = None, pixel_values: Tensor | None = None,
        pixel_values_videos: Tensor | None = None, **named: Any,
    ) -> Any:  # fmt: skip
        """transformers' own `generate` of the language model, on ids or on a processor's batch.

        Args:
            inputs, input_ids: (B, L), padded at the left; `inputs_embeds` may stand instead.
            pixel_values, pixel_values_videos: as in `forward`.
            named: of transformers' `generate`. Unless they say otherwise, an answer ends where the model was taught
                to end it.

        Returns:
            Ids (B, L + T), the prompt's first, as of other models that read pictures; of `inputs_embeds` alone (B, T).
        """
        ids = inputs if input_ids is None else input_ids
        seen = self._embedded(ids, pixel_values, pixel_values_videos)
        ends = {"eos_token_id": self.answerer.stop_ids, "pad_token_id": self.answerer.processor.tokenizer.pad_token_id}
        if self.answerer.stop_strings:
            ends |= {"stop_strings": self.answerer.stop_strings, "tokenizer": self.answerer.processor.tokenizer}
        prompt = {} if ids is None else {"input_ids": ids}
        prompt |= {} if seen is None else {"inputs_embeds": seen}
        llm: Any = self.network.llm
        return llm.generate(**prompt, **(ends | named))

    def _embedded(self, ids: Tensor | None, pictures: Tensor | None, videos: Tensor | None) -> Tensor | None:
        """(B, L, D) of a batch with pictures; None where there are none."""
        if pictures is None and videos is None:
            return None
        if ids is None:
            raise ValueError("pixel_values: expected input_ids that say where the pictures stand, found none")
        return self.network.backbone.encode(batch_of_pixels(self.answerer.processor, ids, pictures, videos)).embeds

    def save_pretrained(self, folder: str | Path, **others: Any) -> None:
        """Writes the whole model, foundations too: the folder opens wherever it is moved or uploaded to.

        The language model is written in its published precision, adapters folded in.

        Args:
            folder: new, or without a model of ours in it, or an earlier one of this method, which is replaced.
            others: transformers' own; none of them is taken.

        Raises:
            FileExistsError: the folder is that of a run, whose files would be lost.
            TypeError: an argument that nothing here would obey.
            ValueError: the weights are not in the precision they learned in.
        """
        unknown = sorted(name for name in others if others[name])
        if unknown:
            raise TypeError(f"{folder}: save_pretrained takes no {', '.join(unknown)}; upload the folder it writes")
        precision = self.answerer.generation.precision
        if precision != "fp32":
            raise ValueError(f"{folder}: these weights are rounded to {precision}; open the model in fp32 to save it")
        write_whole(folder, self.network, self.answerer.config, self.answerer.processor.tokenizer)


def precision_named(name: torch.dtype | str) -> str:
    """transformers' name of a precision, or ours, as `generation.precision` names it."""
    plain = str(name).removeprefix("torch.")
    return PRECISIONS.get(plain, plain)


def device_named(device: torch.device | str | None, device_map: Any) -> str | None:
    """The one device that transformers' arguments name; None for whichever there is.

    Raises:
        ValueError: they name several, or two different ones.
    """
    places = set(device_map.values()) if isinstance(device_map, Mapping) else {device_map}
    places = {str(torch.device(place)) for place in (*places, device) if place not in (None, "auto")}
    if len(places) > 1:
        raise ValueError(f"device_map: expected one device for the whole network, found {', '.join(sorted(places))}")
    return next(iter(places), None)
