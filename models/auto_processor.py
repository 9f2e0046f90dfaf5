"""Our folders, as transformers' `AutoProcessor` opens them: pictures and text in, a batch out.

    import ullava.auto
    from transformers import AutoModelForCausalLM, AutoProcessor

    processor = AutoProcessor.from_pretrained("runs/ullava_stage2")
    batch = processor(images="dog.jpg", text="What is this?", return_tensors="pt")
    ids = model.generate(**batch, max_new_tokens=32)
    processor.batch_decode(ids[:, batch["input_ids"].shape[1]:], skip_special_tokens=True)

No weights are read. Masks and boxes need the heads, too: `model.ask` gives them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import BatchFeature, ProcessorMixin

from ullava.models.asking import Pictures, Turns, dialogues
from ullava.models.batching.collator import Collator
from ullava.models.batching.processor import Processor
from ullava.models.processor_from_config import processor_from_folder

FROM_AUTO = {"_from_auto", "_commit_hash", "trust_remote_code"}  # what transformers' Auto classes add


class UllavaProcessor(ProcessorMixin):
    """Writes questions about pictures as the model of a folder was taught to read them.

    Args:
        writer: of the folder.
    """

    def __init__(self, writer: Processor):
        super().__init__()
        self.writer, self.tokenizer = writer, writer.tokenizer

    @property
    def model_input_names(self) -> list[str]:
        """What a batch may hold."""
        return ["input_ids", "attention_mask", "pixel_values", "pixel_values_videos"]

    @classmethod
    def get_attributes(cls) -> list[str]:
        """The parts that transformers would save one by one: none."""
        return []

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, max_length: int = 512, **others: Any) -> "UllavaProcessor":
        """Opens the folder of a run, a checkpoint, a merged or a converted model; reads no weights.

        Args:
            max_length: of a row, in tokens, where answers are written, too; open questions are never cut.
            others: transformers' own; none of them is taken.

        Raises:
            FileNotFoundError, ValueError: there is no such folder, or it does not hold what it says.
            TypeError: an argument that nothing here would obey.
        """
        unknown = sorted(name for name in others.keys() - FROM_AUTO if others[name])
        if unknown:
            raise TypeError(f"{folder}: no argument {', '.join(unknown)}; there is max_length")
        return cls(processor_from_folder(folder, max_length=max_length))

    def __call__(
        self,
        images: Pictures | Sequence[Pictures] = None,
        text: str | Sequence[str] = "",
        *,
        turns: Sequence[Turns] | Turns = (),
        padding: bool = True,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Questions, each in the model's own conversation, with the answer left open.

        Args:
            images: as in `model.ask`: of one text, nothing, a picture or a list of pictures; of N texts, nothing, one
                picture for all, or N, each None, one picture or a list.
            text: one question, or N. `<image>` stands where a picture belongs; without marks they stand in front.
            turns: the conversation before the question, (question, answer) each; of N texts, N of them.
            padding: fill rows up to the longest, at the left, as generation wants them.
            return_tensors: "pt", "np", or None for lists.

        Returns:
            input_ids, attention_mask (N, L); every patch of a picture has its place in L already.
            pixel_values (P, S, S, 3) uint8, in the order of texts and marks: pictures in the square of S pixels that
            the vision tower sees; the network normalises them. Missing where there is no picture.
            pixel_values_videos (V, F, S, S, 3) uint8; missing where there is no video.

        Raises:
            FileNotFoundError, TypeError, ValueError: as `model.ask`; rows of several lengths that are not padded.
        """
        asked = dialogues(text, images, turns, name="processor")
        examples = [self.writer(dialogue, answered=False) for dialogue in asked]
        batch = Collator(self.tokenizer.pad_token_id, left=True)(examples)
        data: dict[str, Any] = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if not padding:
            kept = batch.attention_mask.bool()
            data = {
                name: [row[here].tolist() for row, here in zip(rows, kept, strict=True)] for name, rows in data.items()
            }
            if return_tensors and not kept.all():
                raise ValueError("processor: rows of several lengths are no tensor; take padding=True")
        if batch.pictures is not None:
            data["pixel_values"] = batch.pictures.pixels
        if batch.videos is not None:
            data["pixel_values_videos"] = batch.videos.pixels
        as_lists = {name: values if isinstance(values, list) else values.numpy() for name, values in data.items()}
        if return_tensors is None:
            as_lists = {
                name: values if isinstance(values, list) else values.tolist() for name, values in as_lists.items()
            }
        return BatchFeature(as_lists, tensor_type=return_tensors)

    def save_pretrained(self, folder: str | Path, **others: Any) -> list[str]:
        """Writes the tokenizer; what else it knows is in the model's card, which `model.save_pretrained` writes."""
        return list(self.tokenizer.save_pretrained(folder, **others))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tokenizer.name_or_path!r}, view={self.writer.view})"
