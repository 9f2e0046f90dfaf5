"""KeySeg up to its fusion of [SEG] and [KEY], which no head does yet; its parts are kept (parity/keyseg/README.md)."""

import re

import pytest
import torch
from safetensors.torch import load_file

from ullava.configs.tokens import KEY

pytestmark = pytest.mark.shared
FUSED = r"fusion\.|key\.fused|fused_seg|loss\.(keyword|mask|total)|mask\.|mask_|infer\.|grad\."  # what it reaches


@torch.no_grad()
def test_parity_keyseg(golden, tools):
    keyseg = golden("keyseg", "keyseg")
    head, tokenizer = keyseg.model.heads["mask"], keyseg.opened.processor.tokenizer
    batch, _, states = keyseg.read(keyseg.rows())
    found = tools["family"](keyseg) | keyseg.spoken()
    standing = torch.zeros(states.shape[:2], dtype=torch.bool)
    standing[:, :-1] = batch.input_ids[:, 1:] == tokenizer.convert_tokens_to_ids(KEY)
    found |= {"train.key.position_mask": standing, "train.key.embeddings": head.project(states[standing])}
    wanted = {name: tensor for name, tensor in keyseg.outputs.items() if not re.search(FUSED, name)}
    wanted |= {name: tensor for name, tensor in keyseg.outputs.items() if name.endswith("position_mask")}
    number = int(keyseg.inputs["generate.image_index"])
    prompt = keyseg.inputs["generate.input_ids"][0]
    column = keyseg.unrolled(prompt.tolist()).index(keyseg.patches["<image>"])
    ids, batch, states = keyseg.said(prompt, (keyseg.medium("", number, column),))
    said = ids[0, len(prompt) :] == tokenizer.convert_tokens_to_ids(KEY)
    found["generate.key_embeddings"] = head.project(states[0, :-1][said])
    assert {"train.seg.embeddings", "train.key.embeddings", "generate.output_ids", "train.loss.ce"} <= set(wanted)
    tools["compare"](found, wanted)


def test_parity_keyseg_keeps_its_own_parts(golden):
    keyseg = golden("keyseg", "keyseg")
    kept = load_file(keyseg.place / "keyword.safetensors")
    theirs = load_file(keyseg.folder / "weights.safetensors")
    for name, tensor in kept.items():
        there = name.replace("heads.keyword.fusion.", "keyword_fusion.")
        assert torch.equal(theirs[there.replace("heads.keyword.words.", "embedding_table_proj.")], tensor)
    assert len(kept) == sum(name.startswith(("keyword_fusion.", "embedding_table_proj.")) for name in theirs)
