"""A network that tests may read, and one that they may change."""

import json

import pytest
import torch
from transformers import SiglipVisionConfig, SiglipVisionModel

from ullava.models.assembly import Assembled, assemble
from ullava.models.auto import UllavaForCausalLM
from ullava.models.batching.collator import Collator
from ullava.models.folders.checkpoints import save


@pytest.fixture(scope="session")
def siglip(tmp_path_factory) -> str:
    """The folder of a SigLIP tower with random weights: 56 pixels, 3 x 3 patches and a rest."""
    folder = tmp_path_factory.mktemp("siglip")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = SiglipVisionConfig(
            image_size=56, patch_size=16, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
            num_attention_heads=4,
        )  # fmt: skip
        SiglipVisionModel(config).save_pretrained(folder)
    settings = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 56, "width": 56}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(folder)


@pytest.fixture(scope="session")
def still(recipe) -> Assembled:
    """A network with both heads; no test changes it."""
    return assemble(recipe())


@pytest.fixture
def fresh(recipe):
    """Assembles a network of one's own; keywords change the recipe."""
    return lambda **changes: assemble(recipe(**changes))


@pytest.fixture(scope="session")
def collate(still) -> Collator:
    return Collator(still.processor.tokenizer.pad_token_id, ["[SEG]", "[LOC]"])


@pytest.fixture
def batch(still, collate):
    """Makes a batch of dialogues."""
    return lambda *dialogues: collate([still.processor(dialogue) for dialogue in dialogues])


@pytest.fixture(scope="session")
def run_folder(recipe, tmp_path_factory):
    """A run's folder, on the tiny zoo; no test changes it."""
    assembled = assemble(recipe())
    folder = tmp_path_factory.mktemp("auto") / "run"
    save(folder, assembled.model, assembled.config, assembled.processor.tokenizer)
    return folder


@pytest.fixture(scope="session")
def model(run_folder):
    """That run as transformers opens it; no test changes it."""
    return UllavaForCausalLM.from_pretrained(run_folder)
