"""u-LLaVA's second release: stage II with masks and boxes; its language part alone (parity/ullava_head/README.md)."""

import json

import numpy as np
import pytest
import torch

from ullava.configs.tokens import IMAGE, LOC, VIDEO
from ullava.models.batching.example import Example, PlacedMedium

pytestmark = pytest.mark.shared


def losses(ullava, rows):
    """The reference's total with gradients, and every mean by its published name.

    Its box losses are a mean over each picture's boxes, summed, and divided by all boxes once more; boxes with corners
    that have changed places are in no GIoU, but in both divisors. Ours are one number per promise; these are theirs.
    """
    batch = ullava.collate(rows)
    found, weights, model = ullava.model(batch), ullava.config["loss_weights"], ullava.model
    states = model.backbone.states(model.backbone.encode(batch))
    head, promised = model.heads["box"], batch.promised[LOC]
    boxes = head(states[promised.rows, promised.columns], batch)
    each = head.losses(boxes, batch)
    valid = (boxes[:, 2:] >= boxes[:, :2]).all(1)
    groups = [promised.rows == row for row in sorted(set(promised.rows.tolist()))]
    l1 = sum(each["box_l1"][group].mean() for group in groups) / len(boxes)
    giou = [each["box_giou"][group & valid].sum() / group.sum() for group in groups]
    parts = {
        "loss.ce": found.parts["lm"],
        "loss.mask_bce_weighted": weights["bce"] * found.parts["mask_bce"],
        "loss.mask_dice_weighted": weights["dice"] * found.parts["mask_dice"],
        "loss.l1_weighted": weights["l1"] * l1,
        "loss.giou_weighted": weights["giou"] * sum(giou, torch.zeros(())) / len(boxes),
        "boxes.valid_for_giou": valid,
    }
    parts["loss.mask"] = parts["loss.mask_bce_weighted"] + parts["loss.mask_dice_weighted"]
    parts["loss.bbox"] = parts["loss.l1_weighted"] + parts["loss.giou_weighted"]
    total = parts["loss.ce"] + parts["loss.mask"] + parts["loss.bbox"]
    return total, parts | {"loss.total": total, "loss.ce_as_returned": total}


@torch.no_grad()
def test_parity_ullava_head(golden, tools):
    ullava = golden("ullava_head", "ullava")
    rows = ullava.rows()
    batch, embeds, states = ullava.read(rows)
    found = ullava.words(batch, states, logits=len(ullava.outputs["llm.logits_at_labels"]))
    found |= ullava.masks(batch, states) | ullava.spoken() | losses(ullava, rows)[1] | {
        "vision.patch_features": ullava.model.vision.encode(batch.pictures.pixels, batch.pictures.keys),
        "llm.inputs_embeds.row0": embeds[0],
        "llm.last_hidden.row0": states[0],
        "llm.hidden_states.1.row0": ullava.model.backbone.decoder(
            inputs_embeds=embeds, attention_mask=batch.attention_mask, output_hidden_states=True
        ).hidden_states[1][0],
    }  # fmt: skip
    found["vision.projected"] = ullava.model.backbone.project(found["vision.patch_features"])
    head, promised = ullava.model.heads["box"], batch.promised[LOC]
    at = states[promised.rows, promised.columns]
    standing = torch.zeros(states.shape[:2], dtype=torch.bool)
    standing[promised.rows, promised.columns] = True
    found |= {"loc.embeddings": head.project(at), "loc.position_mask": standing}
    for n in range(ullava.pictures()):
        found[f"boxes.padded_xyxy.{n}"] = head(at, batch)[promised.rows == n]
    tools["compare"](found, ullava.outputs, leave=r"(grad|core)\..*")


@pytest.mark.parametrize("scratch", [False, True])
def test_parity_ullava_head_gradients(golden, tools, scratch):
    ullava = golden("ullava_head", "ullava")
    file = ullava.folder / f"grad_norms{'_projector_from_scratch_true' if scratch else ''}.json"
    ullava.learn_all()
    losses(ullava, ullava.rows())[0].backward()
    if scratch:  # a flag of the reference that stays on: only the two tokens around a picture learn
        tokens = ullava.config["token_ids"]
        kept = torch.zeros(len(ullava.model.llm.get_input_embeddings().weight), 1)
        kept[[tokens["<img_beg>"], tokens["</img_end>"]]] = 1
        ullava.model.llm.get_input_embeddings().weight.grad *= kept
    tools["gradients"](ullava, "ullava", json.loads(file.read_text()), tensors=not scratch)


def test_parity_ullava_head_pixels(golden, tools):
    tools["pixels"](golden("ullava_head", "ullava"), "images", "images_sam")


def language_rows(ullava):
    """The batch of the language part: pictures, a video, and words alone."""
    inputs, rows, seen = ullava.inputs, [], {IMAGE: 0, VIDEO: 0}
    for n, mask in enumerate(inputs["core.attention_mask"]):
        ids, labels = inputs["core.input_ids"][n][mask].tolist(), inputs["core.labels"][n][mask]
        media = []
        for kind, patch in ullava.patches.items():
            if patch in ids:
                media.append(medium(ullava, kind, seen[kind], ids.index(patch)))
                seen[kind] += 1
        rows.append(Example(f"core{n}", np.array(ids), (labels != -100).numpy(), tuple(media), ()))
    return rows


def medium(ullava, kind, number, column):
    """A picture or a video of that batch."""
    eyes = ullava.model.vision
    if kind == IMAGE:
        pixels = ullava.seen(ullava.inputs["core.images"][number], eyes)
    else:
        frames = ullava.inputs["core.videos"][number].transpose(0, 1)
        pixels = np.stack([ullava.seen(frame, eyes) for frame in frames])
    return PlacedMedium(kind, column, {"pixels": pixels}, None, (1, 1), f"core {kind}{number}")


@torch.no_grad()
def test_parity_ullava_head_language_part(golden, tools):
    ullava = golden("ullava_head", "ullava")
    rows = language_rows(ullava)
    batch, embeds, states = ullava.read(rows)
    words = ullava.words(batch, states, logits=len(ullava.outputs["core.logits_at_labels"]))
    films = ullava.model.backbone.tower_features([batch.videos])[0]
    prompts = {"": ("core.gen_ids", IMAGE), "_video": ("core.genv_ids", VIDEO)}
    found = {
        "core.inputs_embeds.first_two_rows": embeds[:2], "core.last_hidden": states, "core.loss": words["loss.ce"],
        "core.logits_at_labels": words["llm.logits_at_labels"],
        "core.video_features": torch.cat([films.mean(2), films.mean(1)], 1),
    }  # fmt: skip
    for name, (prompt, kind) in prompts.items():
        ids = ullava.inputs[prompt][0]
        shown = medium(ullava, kind, 0, ids.tolist().index(ullava.patches[kind]))
        most = ullava.outputs[f"core.generate{name}.output_ids"].shape[1]
        found[f"core.generate{name}.output_ids"] = ullava.said(ids, (shown,), most)[0]
    tools["compare"](found, {name: t for name, t in ullava.outputs.items() if name.startswith("core.")})
