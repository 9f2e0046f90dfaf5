"""Our folders, as transformers' `AutoModelForCausalLM` opens them.

    import ullava
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained("runs/ullava_stage2")
    answer = model.ask("Can you segment the dog?", "dog.jpg", num_beams=4)
    answer.text, answer.masks, answer.boxes

One path: `ask` is the Answerer of evaluation and inference, which generates by transformers' own `generate`, all of
whose options it takes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.modeling_utils import PreTrainedModel

from ullava.configs.load import build
from ullava.configs.schema import GenerationConfig
from ullava.datasets.structures import Box, Dialogue, Picture, Sample, Turn, Video
from ullava.models.auto_config import UllavaConfig

PRECISIONS = {"auto": "fp32", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}  # transformers' name -> ours
FROM_AUTO = {"_from_auto", "adapter_kwargs", "_commit_hash"}  # what `AutoModelForCausalLM` adds
THRESHOLD = 0.5  # of a mask's probabilities: logit 0, as LISA's evaluation


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says, and what its owner tokens stand for, each kind in the order of the text.

    Attributes:
        masks: (H, W) bool each, of the picture's own size.
        boxes: x0, y0, x1, y1 in pixels of the picture, x1 and y1 outside.
    """

    text: str
    masks: tuple[np.ndarray, ...]
    boxes: tuple[Box, ...]


class UllavaForCausalLM(PreTrainedModel):
    """A run, a checkpoint, a merged or a converted folder, ready to be asked.

    Args:
        config: of its folder.
        answerer: which asks it.
    """

    config_class = UllavaConfig

    def __init__(self, config: UllavaConfig, answerer: Any):
        super().__init__(config)
        self.answerer, self.network = answerer, answerer.model
        self.eval()

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, config: UllavaConfig | None = None, dtype: torch.dtype | str | None = None,
        precision: str | None = None, allow_mismatch: bool = False, **others: Any,
    ) -> "UllavaForCausalLM":  # fmt: skip
        """Opens a folder.

        Args:
            dtype: of the weights, as transformers names it.
            precision: the same as `generation.precision` names it, so "8bit" and "4bit", too; None: fp32.
            allow_mismatch: stand on other foundations than it was trained on.
            others: transformers' own; none of them is taken.

        Raises:
            FileNotFoundError, ValueError: there is no such folder, or it does not hold what it says.
            TypeError: an argument that nothing here would obey.
        """
        from ullava.models.answering import open_answerer  # the network: transformers' classes have to stand by then

        unknown = sorted(name for name in others.keys() - FROM_AUTO if others[name])
        if unknown:
            raise TypeError(f"{folder}: no argument {', '.join(unknown)}; there are dtype, precision, allow_mismatch")
        named = PRECISIONS.get(str(dtype).removeprefix("torch."), str(dtype)) if dtype else "fp32"
        how = build(GenerationConfig, {"precision": precision or named}, str(folder))
        answerer = open_answerer(str(folder), how, allow_mismatch=allow_mismatch)
        return cls(config or UllavaConfig.from_pretrained(folder), answerer)

    def ask(self, question: str, medium: str | Path | Picture | Video | None = None, **options: Any) -> Reply:
        """Answers a question about a picture, a video, or nothing.

        Args:
            medium: a picture's file; a `Video` for moving ones.
            options: of transformers' `generate`, and of `generation:` in a YAML.
        """
        known = {key: options.pop(key) for key in list(options) if key in GenerationConfig.model_fields}
        section = self.answerer.generation.model_dump() | known | {"options": options}
        self.answerer.generation = GenerationConfig.model_validate(section)
        media = () if medium is None else (Picture(Path(medium)) if isinstance(medium, str | Path) else medium,)
        (said,) = self.answerer([Dialogue("asked", Sample("asked", media), (Turn(question, ""),))])
        masks = tuple(np.asarray(mask) > THRESHOLD for mask in said.predictions.get("mask", ()))
        return Reply(said.text, masks, tuple(said.predictions.get("box", ())))

    def forward(self, *arguments: Any, **named: Any) -> Any:
        """The language model's own."""
        return self.network.llm(*arguments, **named)

    def generate(self, *arguments: Any, **named: Any) -> Any:
        """The language model's own, which is transformers': from ids, or from `inputs_embeds` with pictures in them."""
        return self.network.llm.generate(*arguments, **named)

    def save_pretrained(self, folder: str | Path, **others: Any) -> None:
        """Writes what learned, on the same foundations; `ullava merge` writes the whole.

        Raises:
            ValueError: the weights are not in the precision they learned in.
        """
        from ullava.models.folders.checkpoints import save

        precision = self.answerer.generation.precision
        if precision != "fp32":
            raise ValueError(f"{folder}: these weights are rounded to {precision}; open the model in fp32 to save it")
        save(folder, self.network, self.answerer.config, self.answerer.processor.tokenizer)
