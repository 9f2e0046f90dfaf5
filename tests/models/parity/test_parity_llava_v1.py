"""LLaVA v1: a projector, no head (parity/llava_v1/README.md)."""

import pytest
import torch

pytestmark = pytest.mark.shared


@torch.no_grad()
def test_parity_llava_v1(golden, tools):
    llava = golden("llava_v1", "llava")
    batch, embeds, states = llava.read(llava.rows())
    first = batch.pictures.pixels[:1]
    found = llava.words(batch, states, logits=len(llava.outputs["llm.logits_at_labels"]))
    found |= {
        "clip.features.row0": llava.model.vision.encode(first, ["first"])[0],
        "expanded.inputs_embeds.row0": embeds[0],
        "expanded.attention_mask": batch.attention_mask.bool(),
        "expanded.labels": tools["labels"](batch),
    } | llava.spoken()
    found["generate_cached.output_ids"] = found["generate.output_ids"]  # we have one way, with a cache
    tools["compare"](found, llava.outputs)
