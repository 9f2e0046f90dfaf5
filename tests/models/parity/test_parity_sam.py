"""segment-anything, encoder, prompts, decoder and predictor, from its published file (parity/sam/README.md)."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.shared import SHARED
from ullava.datasets.images import View
from ullava.models.segmenters.base import invert
from ullava.models.segmenters.sam import MEAN, STD, SamTower
from ullava.models.segmenters.sam_weights import open_file

pytestmark = pytest.mark.shared
PARITY = SHARED / "parity"
MASKS = r".*(mask_bool_original|masks)"


@pytest.fixture(scope="module")
def folder():
    place = PARITY / "sam"
    if not place.is_dir():
        pytest.skip(f"no {place}")
    tensors = [load_file(place / f"{name}.safetensors") for name in ("inputs", "outputs")]
    return place, json.loads((place / "config.json").read_text()), *tensors


@pytest.fixture(scope="module")
def opened(folder):
    """(the whole model, its tower) of the published pickle."""
    place, config, _, _ = folder
    sam = open_file(place / "weights.pth", heads=config["decoder_heads"])
    return sam, SamTower(sam.vision_encoder, View(config["img_size"], "corner", (0, 0, 0)), MEAN, STD, str(place))


def prompts(inputs):
    """Points, labels, boxes, masks and words of every case of the README."""
    points, labels, boxes = inputs["prompt.points"], inputs["prompt.labels"], inputs["prompt.boxes"]
    masks, words = inputs["prompt.mask_input"], inputs["prompt.text_embeds"]
    return {
        "points": {"points": points, "labels": labels},
        "one_point": {"points": points[:, :1], "labels": labels[:, :1]},
        "points_padlabel": {"points": points, "labels": inputs["prompt.labels_with_pad"]},
        "boxes": {"boxes": boxes},
        "points_boxes": {"points": points, "labels": labels, "boxes": boxes},
        "mask": {"masks": masks, "sparse": words[:, :0]},
        "points_mask": {"points": points, "labels": labels, "masks": masks},
        "text": {"words": words},
        "text_single": {"words": inputs["prompt.text_embeds_single"]},
        "text_points": {"points": points, "labels": labels, "words": words},
        "text_boxes_mask": {"boxes": boxes, "masks": masks, "words": words},
    }


def encode(sam, points=None, labels=None, boxes=None, masks=None, words=None, sparse=None):
    """(sparse (N, K, C), dense (N or 1, C, h, w)) of N prompts."""
    grid = sam.config.prompt_encoder_config.image_embedding_size
    dense = sam.prompt_encoder.no_mask_embed.weight[..., None, None].expand(1, -1, grid, grid)
    if points is not None or boxes is not None:
        sparse = sam.prompt_encoder(
            None if points is None else points[None], None if labels is None else labels[None],
            None if boxes is None else boxes[None], None,
        )[0][0]  # fmt: skip
    if words is not None:
        sparse = words if sparse is None else torch.cat([sparse, words], 1)
    if masks is not None:
        dense = sam.prompt_encoder.mask_embed(masks)
    return sparse, dense


def decode(sam, features, sparse, dense, several):
    """(low-res masks (N, M, h, w), IoU (N, M)) of N prompts of one picture."""
    own = features.expand(len(sparse), -1, -1, -1)
    masks, iou = sam.mask_decoder(
        image_embeddings=own,
        image_positional_embeddings=sam.get_image_wide_positional_embeddings().expand(len(own), -1, -1, -1),
        sparse_prompt_embeddings=sparse[:, None], dense_prompt_embeddings=dense.expand(len(own), -1, -1, -1),
        multimask_output=several,
    )[:2]  # fmt: skip
    return masks[:, 0], iou[:, 0]


def pictures(opened, inputs):
    """Each picture's features by our tower, from the raw picture on, and its original size."""
    _, tower = opened
    names = [name for name in sorted(inputs) if re.fullmatch(r"image[0-9]+", name)]
    sizes = [tuple(inputs[name].shape[:2]) for name in names]
    squares = torch.from_numpy(np.stack([tower.view.apply(inputs[name].numpy()) for name in names]))
    return tower.encode(squares, names, sizes), sizes


def back(opened, masks, size):
    """(N, M, h, w) logits at the original's size."""
    flat = masks.flatten(0, 1)
    return torch.stack(invert(flat, opened[1].view, [size] * len(flat))).unflatten(0, masks.shape[:2])


@torch.no_grad()
def test_parity_sam_encoder(folder, opened, tools):
    _, _, inputs, outputs = folder
    sam, tower = opened
    features, sizes = pictures(opened, inputs)
    seen = []
    hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out)) for layer in sam.vision_encoder.layers]
    first = torch.from_numpy(tower.view.apply(inputs["image0"].numpy()))[None]
    pixels = tower.inside(tower.normalise(first), sizes[:1])
    sam.vision_encoder(pixels)
    for hook in hooks:
        hook.remove()
    patches = sam.vision_encoder.patch_embed(pixels) + sam.vision_encoder.pos_embed
    found = {f"image0.block{n}": out[0] if isinstance(out, tuple) else out for n, out in enumerate(seen)} | {
        "image0.preprocessed": pixels, "image0.after_pos_embed": patches,
        "dense_pe": sam.get_image_wide_positional_embeddings(),
    }  # fmt: skip
    for n, size in enumerate(sizes):
        height, width = tower.view.resized(size)
        found[f"image{n}.embedding"] = features[n : n + 1]
        drawn = tower.view.apply(inputs[f"image{n}"].numpy())[:height, :width]
        found[f"image{n}.resized_uint8"] = torch.from_numpy(drawn)
        assert (height, width) == tuple(inputs[f"image{n}.resized_hw"].tolist())
    wanted = r"dense_pe|image\d+\.(embedding|preprocessed|after_pos_embed|resized_uint8|block\d+)"
    tools["compare"](found, {name: t for name, t in outputs.items() if re.fullmatch(wanted, name)})


@torch.no_grad()
def test_parity_sam_prompts_and_masks(folder, opened, tools):
    _, _, inputs, outputs = folder
    sam = opened[0]
    features, sizes = pictures(opened, inputs)
    transformer, through, found = sam.mask_decoder.transformer, {}, {}
    for case, prompt in prompts(inputs).items():
        sparse, dense = encode(sam, **prompt)
        found |= {f"{case}.sparse": sparse, f"{case}.dense": dense}
        for n, size in enumerate(sizes):
            for several, name in ((True, "on"), (False, "off")):
                hook = transformer.register_forward_hook(lambda _, __, out: through.update(out=out))
                masks, iou = decode(sam, features[n : n + 1], sparse, dense, several)
                hook.remove()
                place, whole = f"image{n}.{case}.multimask_{name}", back(opened, masks, size)
                found |= {f"{place}.low_res": masks, f"{place}.iou": iou, f"{place}.mask_logits_original": whole}
                found[f"{place}.mask_bool_original"] = whole
            if case == "text":
                tokens, source = through["out"][:2]
                found |= {f"image{n}.text.decoder_tokens_out": tokens[:, 0] if tokens.ndim == 4 else tokens,
                          f"image{n}.text.decoder_src_out": source[:, 0] if source.ndim == 4 else source}  # fmt: skip
    rest = r"predictor.*|dense_pe|image\d+\.(embedding|preprocessed|after_pos_embed|resized_uint8|block\d+)"
    hold_masks(found, outputs)
    tools["compare"](found, outputs, leave=f"{rest}|{MASKS}")


def hold_masks(found, outputs):
    """Masks agree wherever the logits are not at the border (README: |logit| < 1e-3)."""
    for name, golden in outputs.items():
        if re.fullmatch(MASKS, name) and name.startswith("predictor") == all(n.startswith("predictor") for n in found):
            sure = found[name].abs() >= 1e-3
            assert torch.equal((found[name] > 0)[sure], golden[sure]), name


@torch.no_grad()
def test_parity_sam_predictor(folder, opened, tools):
    """Points and boxes in pixels of the original, and a second call that gets the first one's mask."""
    _, _, inputs, outputs = folder
    sam, tower = opened
    features, sizes = pictures(opened, inputs)
    found = {}
    for n, size in enumerate(sizes):
        place, (height, width) = f"predictor{n}", tower.view.resized(size)
        scale = torch.tensor([width / size[1], height / size[0]])
        points = inputs[f"{place}.point_coords"][None] * scale
        labels = inputs[f"{place}.point_labels"][None]
        boxes = inputs[f"{place}.box"][None] * scale.repeat(2)
        sparse, dense = encode(sam, points=points, labels=labels, boxes=boxes)
        calls = {"multimask_on": (sparse, dense, True), "multimask_off": (sparse, dense, False)}
        before = encode(sam, points=points[:, :1], labels=labels[:, :1])
        best = decode(sam, features[n : n + 1], *before, True)[0][:, inputs[f"{place}.refine.mask_index"]]
        refined = encode(sam, points=points, labels=labels, masks=best[:, None])
        calls["refine"] = (*refined, False)
        for name, (sparse, dense, several) in calls.items():
            masks, iou = decode(sam, features[n : n + 1], sparse, dense, several)
            found |= {f"{place}.{name}.low_res": masks[0], f"{place}.{name}.iou": iou[0]}
            found[f"{place}.{name}.masks"] = back(opened, masks, size)[0]
    mine = {name: tensor for name, tensor in outputs.items() if name.startswith("predictor")}
    hold_masks(found, mine)
    tools["compare"](found, mine, leave=MASKS)
