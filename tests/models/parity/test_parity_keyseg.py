"""KeySeg: what its published code computes, by our head with the options of that code (parity/keyseg/README.md)."""

from copy import deepcopy

import pytest
import torch

pytestmark = pytest.mark.shared


@torch.no_grad()
def test_parity_keyseg(golden, tools):
    """Everything but gradients: a batch, one row of it by itself, and what it says of its own accord."""
    keyseg = golden("keyseg", "keyseg")
    batch, _, _ = keyseg.read(keyseg.rows())
    loss = keyseg.model(batch)
    found = tools["family"](keyseg) | tools["inferred"](keyseg)
    weighted = keyseg.config["loss_weights"]["bce"] * loss.parts["mask_bce"]
    found["train.loss.mask"] = weighted + keyseg.config["loss_weights"]["dice"] * loss.parts["mask_dice"]
    found |= {"train.loss.total": loss.total, "train.loss.keyword": loss.parts["keyword_alignment"]}
    for name in ("bce", "dice"):
        found[f"train.loss.mask_{name}_UNweighted_as_returned"] = loss.parts[f"mask_{name}"]
    outputs = keyseg.outputs.items()
    tools["compare"](found, {name: t for name, t in outputs if not name.startswith(("fusion.", "train.grad."))})


@torch.no_grad()
def test_parity_keyseg_fusion(golden, tools):
    """The fusion alone, of other numbers of masks and keywords."""
    keyseg = golden("keyseg", "keyseg")
    module, found = keyseg.model.heads["mask"].fusion.attention, {}
    for name, prompts in keyseg.inputs.items():
        if name.startswith("fusion.seg."):
            number = name.removeprefix("fusion.seg.")
            keys = keyseg.inputs[f"fusion.key.{number}"]
            found[f"fusion.out_float32.{number}"] = module(prompts[None], keys[None])[0]
            coarse = deepcopy(module).bfloat16()(prompts[None].bfloat16(), keys[None].bfloat16())
            found[f"fusion.out_bf16.{number}"] = coarse[0]
    tools["compare"](found, {name: t for name, t in keyseg.outputs.items() if name.startswith("fusion.")})


def test_parity_keyseg_gradients(golden, tools):
    keyseg = golden("keyseg", "keyseg")
    keyseg.learn_all()
    batch, _, _ = keyseg.read(keyseg.rows())
    keyseg.model(batch).total.backward()
    tools["family_gradients"](keyseg, "keyseg")
