"""A network that tests may read, and one that they may change."""

import pytest

from ullava.models.assembly import Assembled, assemble
from ullava.models.collator import Collator


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
