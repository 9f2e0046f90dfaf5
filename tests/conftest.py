"""What tests of the network share: tiny foundations with random weights, drawn pictures, and dialogues about them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test asks no network; before huggingface_hub reads it
SIZES = ((60, 80), (72, 48), (50, 50))  # (H, W) of the pictures
TEXTS = (
    "Can you segment the red circle in this picture? Sure. Mask: Location: ; , . ! It is a blue square. Where is it?",
    "What is here? Nothing else. Describe the picture. Human Assistant ### : USER ASSISTANT \n\n",
)


def pytest_collection_modifyitems(items) -> None:
    """Puts the files with slow tests first, so that no core is left with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@dataclass(frozen=True)
class World:
    """A folder with three pictures, and the ways in which tests talk about them."""

    folder: Path

    def picture(self, number: int):
        from ullava.datasets.structures import Picture

        return Picture(self.folder / f"{number}.png")

    def region(self, picture: int = 0, box=(20, 10, 50, 30), place: int = 0, **facts):
        """A rectangle in a picture, which is the sample's medium number `place`."""
        from ullava.datasets.masks import RunLengths, encode
        from ullava.datasets.structures import Region

        drawn = np.zeros(SIZES[picture], bool)
        drawn[box[1] : box[3], box[0] : box[2]] = True
        mask = RunLengths(SIZES[picture], encode(drawn)["counts"])
        return Region(phrases=("red circle",), category="circle", picture=place, **{"mask": mask, **facts})

    def dialogue(self, name: str, pictures, *turns, regions=()):
        """Turns are (question, answer); the n-th owner token of all answers promises the n-th of `regions`."""
        from ullava.datasets.structures import OWNER_PATTERN, Dialogue, Promise, Sample, Turn

        sample = Sample(f"toy/{name}", tuple(self.picture(number) for number in pictures), tuple(regions))
        said = [(m.group(), k) for k, (_, answer) in enumerate(turns) for m in OWNER_PATTERN.finditer(answer)]
        promises = tuple(Promise(token, region, k) for (token, k), region in zip(said, regions, strict=True))
        return Dialogue(sample.id, sample, tuple(Turn(*turn) for turn in turns), promises)

    def segment(self, picture: int = 0, box=(20, 10, 50, 30)):
        """One question about one picture, answered by a mask and a box."""
        region = self.region(picture, box)
        asked = ("Can you segment the red circle?", "Sure. Mask: [SEG]; Location: [LOC].")
        return self.dialogue(f"segment{picture}", [picture], asked, regions=(region, region))

    def chat(self):
        """Text only."""
        return self.dialogue("chat", [], ("What is here?", "Nothing else."))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> World:
    """Three noisy pictures of different sizes."""
    folder, rng = tmp_path_factory.mktemp("world"), np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / f"{number}.png")
    return World(folder)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory) -> Path:
    """Folders llm, clip and sam, as Hugging Face lays them out: 16 patches a picture, masks of 32 x 32."""
    import torch

    from ullava.models.tiny import tiny_clip, tiny_llm, tiny_sam, tiny_tokenizer

    folder = tmp_path_factory.mktemp("zoo")
    settings = json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.25, 0.25], "size": 96})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer(TEXTS)
        tokenizer.save_pretrained(folder / "llm")
        tiny_llm(len(tokenizer), width=32, layers=2).save_pretrained(folder / "llm")
        tiny_clip(patch=24, width=32, layers=3).save_pretrained(folder / "clip")
        tiny_sam(patch=12, width=32, layers=2, channels=32).save_pretrained(folder / "sam")
    for tower in ("clip", "sam"):
        (folder / tower / "preprocessor_config.json").write_text(settings)
    return folder


@pytest.fixture(scope="session")
def recipe(zoo):
    """Makes the model section of a YAML: both heads on the tiny zoo; keywords change it."""
    from ullava.configs.schema import ModelConfig

    def make(**changes):
        heads = {"mask": {"sam": str(zoo / "sam")}, "box": {"channels": 16}}
        section = {"llm": str(zoo / "llm"), "vision": {"tower": str(zoo / "clip")}, "projector": "mlp2", "heads": heads}
        return ModelConfig.model_validate(section | changes)

    return make


@pytest.fixture(scope="session")
def lay_weights(zoo):
    """Lays tiny random weights where a model section looks for its own, in the working directory."""

    def link(place: str, target: Path) -> None:
        if not Path(place).exists():
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).symlink_to(target, target_is_directory=True)

    def lay(config, parent: dict | None = None) -> None:
        """With `parent`, the heads and their options that it has learned, `config.llm` becomes the folder of a run."""
        from ullava.configs.schema import ModelConfig
        from ullava.models.assembly import assemble
        from ullava.models.folders.checkpoints import save

        if parent is None:
            link(config.llm, zoo / "llm")
        elif not Path(config.llm, "ullava.json").exists():
            towers = {"mask": {"sam": str(zoo / "sam")}, "box": {}}
            section = {
                "llm": str(zoo / "llm"), "vision": {"tower": str(zoo / "clip")}, "projector": config.projector,
                "conversation": config.conversation, "tokens": config.tokens, "tokenization": config.tokenization,
                "heads": {name: (options or {}) | towers[name] for name, options in parent.items()},
            }  # fmt: skip
            assembled = assemble(ModelConfig.model_validate(section))
            save(Path(config.llm), assembled.model, assembled.config, assembled.processor.tokenizer)
        if config.vision:
            link(config.vision.tower, zoo / "clip")
        if place := (config.heads.get("mask") or {}).get("sam"):
            link(place, zoo / "sam")

    return lay
