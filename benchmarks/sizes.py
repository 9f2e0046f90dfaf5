"""Named sizes for benchmarks: foundations without weights, and dialogues about drawn pictures.

A size is three configurations in transformers' own words, written to a folder that the shipped recipes then name as
their foundations, `from_scratch`: weights are random, drawn where the network lies. Pictures are JPEG files, so that
reading costs what it costs in training.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import CLIPVisionConfig, LlamaConfig, PretrainedConfig, SamConfig, SamVisionConfig

from ullava.configs.load import CONFIGS, load
from ullava.configs.schema import RunConfig
from ullava.datasets.masks import RunLengths, encode
from ullava.datasets.structures import Dialogue, Picture, Region, Sample, Turn
from ullava.models.text.conversation import CURIOUS
from ullava.models.tiny import tiny_clip, tiny_llm, tiny_sam, tiny_tokenizer
from ullava.tasks.base import TASKS

NORMAL = {"image_mean": [0.481, 0.458, 0.408], "image_std": [0.269, 0.261, 0.276]}  # CLIP's; costs the same as any
STAGES = {1: "ullava_core_stage1", 2: "ullava_stage2_lora"}  # the recipe that is measured
NAMES = ("the small red cup beside the plate", "a man in a blue coat on the left", "the dog that lies on the grass")
CAPTION = "A man in a blue coat walks with his dog past a table with a red cup, a plate and some green apples."
EXPLANATION = "Please describe what you can see in this picture, as briefly as you can."
WORDS = f"{CURIOUS}USER: ASSISTANT: Human: Assistant:\n###"  # of the conversations around the turns
PICTURES = 16  # files that the dialogues are about


def seven_billion() -> tuple[PretrainedConfig, PretrainedConfig, PretrainedConfig]:
    """LLaMA-7B (arXiv:2302.13971, table 2), CLIP ViT-L/14 (arXiv:2103.00020), SAM ViT-H (arXiv:2304.02643)."""
    llm = LlamaConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
        max_position_embeddings=2048, bos_token_id=0, eos_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    clip = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=224,
        patch_size=14, projection_dim=768, hidden_act="quick_gelu",
    )  # fmt: skip
    vision = SamVisionConfig(
        hidden_size=1280, mlp_dim=5120, num_hidden_layers=32, num_attention_heads=16,
        global_attn_indexes=[7, 15, 23, 31],
    )  # fmt: skip
    return llm, clip, SamConfig(vision_config=vision.to_dict())


def tiny() -> tuple[PretrainedConfig, PretrainedConfig, PretrainedConfig]:
    """The sizes of models/zoo/tiny."""
    return tiny_llm(1024).config, tiny_clip().config, tiny_sam().config


@dataclass(frozen=True, slots=True)
class Size:
    """A named size.

    Attributes:
        foundations: makes the configurations of language model, CLIP and SAM.
        picture: (H, W) of the pictures.
        settings: `key=value`, over the recipe.
    """

    foundations: Callable[[], tuple[PretrainedConfig, PretrainedConfig, PretrainedConfig]]
    picture: tuple[int, int]
    settings: tuple[str, ...]


SIZES = {
    "tiny": Size(tiny, (96, 128), ("training.precision=fp32", "training.gradient_checkpointing=false")),
    "7b": Size(seven_billion, (480, 640), ()),  # COCO's usual picture
}


def recipe(size: Size, stage: int, folder: Path, overrides: list[str]) -> RunConfig:
    """The shipped recipe of a stage, standing on foundations that are written to `folder`."""
    where = build(size, folder)
    settings = [f"model.llm={where / 'llm'}", f"model.vision.tower={where / 'clip'}", f"output_dir={folder}"]
    settings += ["model.from_scratch=[llm, vision, sam]", *size.settings]
    settings += [f"model.heads.mask.sam={where / 'sam'}"] if stage == 2 else []
    return load(CONFIGS / "train" / f"{STAGES[stage]}.yaml", RunConfig, [*settings, *overrides])


def build(size: Size, folder: Path) -> Path:
    """Writes config.json of every foundation, and a small tokenizer; no weights."""
    for name, config in zip(("llm", "clip", "sam"), size.foundations(), strict=True):
        config.save_pretrained(folder / name)
        (folder / name / "preprocessor_config.json").write_text(json.dumps(NORMAL))
    written = [one for stage in STAGES for one in islice(dialogues(samples(size, folder), stage), 4 * PICTURES)]
    texts = [f"{turn.question} {turn.answer}" for one in written for turn in one.turns]
    tiny_tokenizer([WORDS, *texts]).save_pretrained(folder / "llm")
    return folder


def samples(size: Size, folder: Path) -> list[Sample]:
    """One sample a picture: what is written about it, and three things in it, a quarter of its sides each."""
    height, width = size.picture
    rng, found = np.random.default_rng(0), []
    for number in range(PICTURES):
        path = folder / f"{number}.jpg"
        if not path.is_file():
            coarse = Image.fromarray(rng.integers(0, 255, (height // 16, width // 16, 3), np.uint8))
            coarse.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)
        regions = tuple(region(name, place, size.picture) for place, name in enumerate(NAMES))
        found.append(Sample(f"drawn/{number}", (Picture(path),), regions, turns=(Turn(EXPLANATION, CAPTION),)))
    return found


def region(name: str, place: int, size: tuple[int, int]) -> Region:
    """A rectangle."""
    height, width = size
    drawn = np.zeros(size, bool)
    drawn[height // 4 : height // 2, place * width // 4 : (place + 1) * width // 4] = True
    return Region((name,), name, mask=RunLengths(size, encode(drawn)["counts"]))


def dialogues(found: list[Sample], stage: int) -> Iterator[Dialogue]:
    """Yields dialogues without end, as the stage's recipe asks: a caption, or three things with mask and box."""
    task = TASKS.build("vqa", {}) if stage == 1 else TASKS.build("res", {"says": ["SEG", "LOC"]})
    rng = np.random.default_rng(0)
    while True:
        for sample in found:
            yield task.dialogue(sample, rng)
