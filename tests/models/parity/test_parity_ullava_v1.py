"""u-LLaVA's first release, stage II: masks (parity/ullava_v1/README.md)."""

import json

import pytest
import torch

pytestmark = pytest.mark.shared


def losses(ullava, rows, prefix=""):
    """The total with gradients, and every mean by its published name."""
    found = ullava.model(ullava.collate(rows))
    weights = ullava.config["loss_weights"]
    parts = {
        "loss.ce": found.parts["lm"],
        "loss.mask_bce_weighted": weights["bce"] * found.parts["mask_bce"],
        "loss.mask_dice_weighted": weights["dice"] * found.parts["mask_dice"],
        "loss.total": found.total,
        "loss.ce_as_returned": found.total,  # the reference's trap: it adds to its cross-entropy in place
    }
    return found.total, parts | {"loss.mask": parts["loss.mask_bce_weighted"] + parts["loss.mask_dice_weighted"]}


def test_parity_ullava_v1(golden, tools):
    ullava, rows = golden("ullava_v1", "ullava_v1"), None
    with torch.no_grad():
        rows = ullava.rows()
        batch, embeds, states = ullava.read(rows)
        found = ullava.words(batch, states, logits=len(ullava.outputs["llm.logits_at_labels"]))
        found |= ullava.masks(batch, states) | ullava.spoken() | {
            "vision.patch_features": ullava.model.vision.encode(batch.pictures.pixels, batch.pictures.keys),
            "llm.inputs_embeds.row0": embeds[0],
            "llm.last_hidden.row0": states[0],
        }  # fmt: skip
        found["vision.projected"] = ullava.model.backbone.project(found["vision.patch_features"])
        found |= losses(ullava, rows)[1]
    tools["compare"](found, ullava.outputs, leave=r"grad\..*")


def test_parity_ullava_v1_gradients(golden, tools):
    ullava = golden("ullava_v1", "ullava_v1")
    ullava.learn_all()
    losses(ullava, ullava.rows())[0].backward()
    tools["gradients"](ullava, "ullava_v1", json.loads((ullava.folder / "grad_norms.json").read_text()))


def test_parity_ullava_v1_pixels(golden, tools):
    tools["pixels"](golden("ullava_v1", "ullava_v1"), "images", "images_sam")
