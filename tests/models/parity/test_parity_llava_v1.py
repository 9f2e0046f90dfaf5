"""LLaVA v1: a projector, no head (parity/llava_v1/README.md)."""

import copy

import pytest
import torch

pytestmark = pytest.mark.shared


def found_by(llava, tools) -> dict[str, torch.Tensor]:
    """Our tensors of a batch, by their golden names."""
    batch, embeds, states = llava.read(llava.rows())
    return llava.words(batch, states, logits=len(llava.outputs["llm.logits_at_labels"])) | {
        "clip.features.row0": llava.vision_features(0),
        "expanded.inputs_embeds.row0": embeds[0],
        "expanded.attention_mask": batch.attention_mask.bool(),
        "expanded.labels": tools["labels"](batch),
    }


@torch.no_grad()
def test_parity_llava_v1(golden, tools):
    llava = golden("llava_v1", "llava")
    found = found_by(llava, tools) | llava.spoken()
    found["generate_cached.output_ids"] = found["generate.output_ids"]  # we have one way, with a cache
    tools["compare"](found, llava.outputs)


@torch.no_grad()
def test_parity_llava_v1_in_another_order_of_pictures(golden, tools):
    """The last picture first, so that row 0 is another one; in some files it is one that shows no picture."""
    llava = copy.copy(golden("llava_v1", "llava"))
    offset = llava.inputs["offset"].tolist()
    pictures = [len(offset) - 2, *range(len(offset) - 2)]
    rows = [row for picture in pictures for row in range(offset[picture], offset[picture + 1])]
    starts = torch.tensor([0, *(offset[picture + 1] - offset[picture] for picture in pictures)]).cumsum(0)
    inputs, outputs = dict(llava.inputs), dict(llava.outputs)
    for name in ("input_ids", "labels", "attention_masks"):
        inputs[name] = inputs[name][rows]
    for name in ("expanded.labels", "expanded.attention_mask"):
        outputs[name] = outputs[name][rows]
    counts = [int((labels[1:] != -100).sum()) for labels in llava.outputs["expanded.labels"]]
    states = outputs["llm.last_hidden_at_labels"].split(counts)
    outputs["llm.last_hidden_at_labels"] = torch.cat([states[row] for row in rows])
    llava.inputs = inputs | {
        "offset": starts,
        "images_clip": inputs["images_clip"][pictures],
        **{f"size_hw.{n}": inputs[f"size_hw.{picture}"] for n, picture in enumerate(pictures)},
    }
    llava.outputs = outputs
    names = ("llm.last_hidden_at_labels", "loss.ce", "expanded.labels", "expanded.attention_mask")
    llava.model.vision.cache.kept.clear()  # it knows pictures by their numbers, which are others here
    found = found_by(llava, tools)
    llava.model.vision.cache.kept.clear()
    tools["compare"](found, {name: outputs[name] for name in names})
