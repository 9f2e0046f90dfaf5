"""A small encoder-decoder that is asked for keywords, as KeySeg asks FLAN-T5-XL (Sensors 2025, 25(20), 6353)."""

from collections.abc import Sequence
from pathlib import Path

PROMPT = "{text}\nWhich object does this text ask for? Answer with the one or two words of the text that name it."
LENGTH = 10  # tokens of an answer, taken greedily (KeySeg)


class KeywordModel:
    """Proposes the keyword of each text.

    Args:
        folder: of a model with its tokenizer, such as google/flan-t5-xl; local, nothing is fetched.

    Raises:
        FileNotFoundError, ValueError: the folder is not there, or holds another kind of model.
    """

    def __init__(self, folder: Path):
        # This module is imported with every kind of `ullava prepare`; torch and transformers take seconds.
        import torch
        from transformers import AutoModelForSeq2SeqLM

        from ullava.models.backbones.vision_tower import load_weights
        from ullava.models.text.tokenization import open_tokenizer

        self.tokenizer = open_tokenizer(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = load_weights(AutoModelForSeq2SeqLM, str(folder), "--model", dtype="auto").eval().to(device)

    def __call__(self, asked: Sequence[tuple[str, str]]) -> list[str]:
        """The model's answer to each (question, explanation or ""); what may be the keyword, and may be anything."""
        prompts = [PROMPT.format(text=" ".join(filter(None, texts))) for texts in asked]
        inputs = self.tokenizer(prompts, return_tensors="pt", padding=True).to(self.model.device)
        answers = self.model.generate(  # which needs no gradients, and says so itself
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=LENGTH,
            do_sample=False,
        )  # fmt: skip
        return [text.strip() for text in self.tokenizer.batch_decode(answers, skip_special_tokens=True)]
