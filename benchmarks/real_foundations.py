"""Writes configs/real/foundations: the shapes of the networks and a tokenizer, and no weights: all is learned.

    python benchmarks/real_foundations.py

The tokenizer knows our own sentences and the single words that the training parts of the real samples use at least
twice; any other text is spelt.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

if not __package__:  # run as a file: `ullava` lies beside this folder, not in it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from transformers import CLIPVisionConfig, LlamaConfig, SamConfig

from ullava.configs.tokens import LOC, SEG
from ullava.datasets.catalogue import open_dataset
from ullava.datasets.structures import Turn
from ullava.models.text.conversation import conversation
from ullava.models.tiny import tiny_tokenizer
from ullava.tasks.answers.grammar import GRAMMARS, MARK_PATTERN
from ullava.tasks.phrases import phrasebook as phrases

FOLDER = Path(__file__).parents[1] / "configs" / "real" / "foundations"
SPOKEN = {
    "coco_mini_train": "captioning",
    "flickr8k_sample_train": "captioning",
    "daquar_train": "vqa",
    "msrvtt_train": "video_captioning",
}
NAMED = {"coco_mini_train": "res", "camvid_train": "semantic"}
OFTEN = 2  # rarer words are spelt
PIXELS = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}  # of ImageNet, as everywhere


def main() -> None:
    """Writes the folders."""
    names = sorted({region.category for sample in samples(NAMED) for region in sample.regions})
    texts = [*sentences(), *(f" {word}" for word in common_words()), *(f"{name} {name}" for name in names)]
    tokenizer = tiny_tokenizer(texts, merges=400)
    tokenizer.save_pretrained(FOLDER / "llm")
    llm(len(tokenizer)).save_pretrained(FOLDER / "llm")
    clip(side=128, patch=16).save_pretrained(FOLDER / "clip")
    (FOLDER / "clip" / "preprocessor_config.json").write_text(json.dumps(PIXELS, indent=2) + "\n")
    sam(side=96, patch=8).save_pretrained(FOLDER / "sam")
    sam(side=160, patch=8).save_pretrained(FOLDER / "sam_fine")
    print(f"{FOLDER}: {len(tokenizer)} tokens")


def samples(datasets: dict[str, str]):
    """Yields the samples of several datasets."""
    for name, task in datasets.items():
        yield from open_dataset(name, task)


def common_words() -> list[str]:
    """Words and marks of the training texts, in the order of the alphabet."""
    seen: Counter[str] = Counter()
    for sample in samples(SPOKEN):
        texts = {text for turn in sample.turns for text in (turn.question, turn.answer, *turn.references)}
        seen.update(word for text in texts for word in re.findall(r"[^\W_]+|\S", text))
    return sorted(word for word, times in seen.items() if times >= OFTEN)


def sentences() -> list[str]:
    """Everything that is asked and answered in our own words, without the tokens."""
    book = phrases.PHRASEBOOKS["ullava"]
    kinds = (book.segment, book.locate, book.salient, book.explain, phrases.DESCRIBE_PICTURE, phrases.DESCRIBE_VIDEO)
    asked = [question for kind in kinds for question in (*kind.drawn, kind.eval_question)]
    answer = GRAMMARS[book.grammar].write((SEG, LOC), "dog")
    turns = [Turn(question.replace(phrases.SLOT, "dog"), answer) for question in asked]
    return [MARK_PATTERN.sub("", conversation("simple").write([turn]).text) for turn in turns]


def llm(words: int) -> LlamaConfig:
    """A LLaMA of two million parameters."""
    return LlamaConfig(
        architectures=["LlamaForCausalLM"], vocab_size=words, hidden_size=160, intermediate_size=448,
        num_hidden_layers=4, num_attention_heads=5, max_position_embeddings=1024, tie_word_embeddings=False,
        bos_token_id=0, eos_token_id=1, initializer_range=0.07,
    )  # fmt: skip


def clip(side: int, patch: int) -> CLIPVisionConfig:
    """A CLIP tower of (side / patch)^2 patches."""
    return CLIPVisionConfig(
        image_size=side, patch_size=patch, hidden_size=128, intermediate_size=384, num_hidden_layers=4,
        num_attention_heads=4, projection_dim=128,
    )  # fmt: skip


def sam(side: int, patch: int) -> SamConfig:
    """A SAM that gives masks of 4 side / patch."""
    vision = dict(
        image_size=side, patch_size=patch, hidden_size=128, mlp_dim=384, num_hidden_layers=4, num_attention_heads=4,
        window_size=side // patch // 2, global_attn_indexes=[1, 3], output_channels=64, num_pos_feats=32,
    )  # fmt: skip
    prompt = dict(image_size=side, patch_size=patch, hidden_size=64, mask_input_channels=8)
    decoder = dict(hidden_size=64, mlp_dim=128, num_hidden_layers=2, num_attention_heads=4, iou_head_hidden_dim=64)
    return SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


if __name__ == "__main__":
    main()
