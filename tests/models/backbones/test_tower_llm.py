"""The backbone of today behind its contract: the network's weights keep their names, and rows need no weights."""

import numpy as np
import pytest
import torch

from ullava.configs.tokens import PATCH
from ullava.datasets.structures import Picture, Video
from ullava.models.backbones.tower_layout import TowerLayout
from ullava.models.batching.collator import Collator
from ullava.models.batching.layout import MediaTokens
from ullava.models.batching.processor import Processor


class Lined(TowerLayout):
    """Sixteen patches in two lines, each behind a token without a feature, as of models with pictures of any size."""

    def tokens(self, medium: Picture | Video) -> MediaTokens:
        patch = PATCH["<image>"]
        return MediaTokens("", patch, "", ("[tag]", *[patch] * 8) * 2)


def test_its_children_are_the_networks_own(still):
    model, backbone = still.model, still.model.backbone
    assert model.llm is backbone.llm and model.projector is backbone.projector
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"llm", "projector", "heads"}
    assert backbone.width == 32 and backbone.layout.patches == model.vision.patches == 16


def test_states_and_logits_are_the_language_models(still, world, batch):
    found, backbone = batch(world.segment(0)), still.model.backbone
    with torch.no_grad():
        prompt = backbone.encode(found)
        logits = backbone.logits(backbone.states(prompt))
        expected = backbone.llm(inputs_embeds=prompt.embeds, attention_mask=found.attention_mask).logits
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("kept", [True, False])
def test_reread_states_emitted_the_generated_ids(still, world, kept):
    """The states behind which each id was the likeliest, with the prompt's cache and without."""
    backbone, tokenizer = still.model.backbone, still.processor.tokenizer
    row = still.processor(world.segment(0), answered=False)
    found = Collator(tokenizer.pad_token_id, left=True)([row])
    with torch.no_grad():
        prompt = backbone.encode(found)
        generated = backbone.generate(prompt, {"max_new_tokens": 5, "pad_token_id": tokenizer.pad_token_id})
        if not kept:
            generated = type(generated)(generated.ids)
        states = backbone.reread(prompt, generated)
        best = backbone.logits(states[:, :-1]).argmax(-1)
    assert states.shape == (1, 6, 32)
    assert torch.equal(best, generated.ids)


def test_tokens_without_features_stand_among_a_pictures(still, world):
    theirs = still.processor
    layout = Lined(theirs.layout.view, 16)
    processor = Processor(theirs.tokenizer, theirs.conversation, layout=layout, mask_view=theirs.mask_view)
    row, plain = processor(world.segment(0)), theirs(world.segment(0))
    patch, line = (theirs.tokenizer.convert_tokens_to_ids(token) for token in (PATCH["<image>"], "[tag]"))
    first = row.media[0].column
    assert row.input_ids[first : first + 18].tolist() == [line, *[patch] * 8, line, *[patch] * 8]
    assert len(row.input_ids) == len(plain.input_ids) + 2 - 2  # two lines more, no token before and behind
    spoken = [theirs.tokenizer.decode(some.input_ids[some.supervised]) for some in (row, plain)]
    assert spoken[0] == spoken[1]
    at = [int(some.input_ids[promise.column]) for some in (row, plain) for promise in some.promises]
    assert at[:2] == at[2:]


def test_pixels_have_the_names_of_the_layout(still, world):
    row = still.processor(world.segment(0))
    ragged = type("Ragged", (TowerLayout,), {"collate": lambda self, media: {"sizes": torch.tensor([len(media)])}})
    batch = Collator(0, layout=ragged(still.processor.layout.view, 16))([row, row])
    assert batch.pictures.tensors["sizes"].tolist() == [2]
    assert np.array_equal(Collator(0)([row]).pictures.pixels[0].numpy(), row.media[0].arrays["pixels"])
