"""KeySeg: our model up to [SEG] and [KEY], then its fusion, which no head does yet (parity/keyseg/README.md)."""

import re
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ullava.configs.tokens import KEY
from ullava.models.heads.keyword_fusion import KeywordFusion
from ullava.models.losses import mask_bce, mask_dice
from ullava.models.sam import invert

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


def fusion(keyseg):
    """KeySeg's own parts, as they were converted."""
    kept = load_file(keyseg.place / "keyword.safetensors")
    module = KeywordFusion(keyseg.config["out_dim"], width=keyseg.config["key"]["fusion_hidden"])
    prefix = "heads.keyword.fusion."
    module.load_state_dict({n.removeprefix(prefix): t for n, t in kept.items() if n.startswith(prefix)})
    return module, kept["heads.keyword.words.weight"], kept["heads.keyword.words.bias"]


@torch.no_grad()
def test_parity_keyseg_fusion(golden, tools):
    keyseg = golden("keyseg", "keyseg")
    module, found = fusion(keyseg)[0], {}
    for name, prompts in keyseg.inputs.items():
        if name.startswith("fusion.seg."):
            number = name.removeprefix("fusion.seg.")
            keys = keyseg.inputs[f"fusion.key.{number}"]
            found[f"fusion.out_float32.{number}"] = module(prompts, keys)
            found[f"fusion.out_bf16.{number}"] = deepcopy(module).bfloat16()(prompts.bfloat16(), keys.bfloat16())
    tools["compare"](found, {name: t for name, t in keyseg.outputs.items() if name.startswith("fusion.")})


def states(keyseg, first: int, last: int) -> list[torch.Tensor]:
    """The golden [SEG] and [KEY] states of rows from `first` to before `last`."""
    found = []
    for name in ("seg", "key"):
        standing = keyseg.outputs[f"train.{name}.position_mask"]
        begin, end = standing[:first].sum(), standing[:last].sum()
        found.append(keyseg.outputs[f"train.{name}.embeddings"][begin:end])
    return found


@torch.no_grad()
def test_parity_keyseg_masks_of_fused_prompts(golden, tools):
    """Each picture's masks, of its fused prompts, and the keyword's loss: from the golden states that are read."""
    keyseg = golden("keyseg", "keyseg")
    module, weight, bias = fusion(keyseg)
    outputs, head, found = keyseg.outputs, keyseg.model.heads["mask"], {}
    features, key = outputs["train.sam.image_embeddings"], outputs["train.key.embeddings"]
    for n in range(keyseg.pictures()):
        fused = module(*states(keyseg, *keyseg.inputs["offset"][n : n + 2].tolist()))
        low = head.decode(features[n : n + 1], fused[None, :, None])[0]
        whole = invert(low, head.tower.view, [keyseg.size(n)] * len(low))
        found |= {f"train.key.fused_seg.{n}": fused, f"train.mask.low_res.{n}": low[:, None],
                  f"train.mask.logits_original.{n}": torch.stack(whole)}  # fmt: skip
        found[f"train.mask.iou_pred.{n}"] = keyseg.confidence(features[n], fused)
        masks = keyseg.inputs[f"gt_mask.{n}"].float()
        found[f"bce.{n}"], found[f"dice.{n}"] = (f(torch.stack(whole), masks) for f in (mask_bce, mask_dice))
    for name in ("bce", "dice"):
        every = torch.cat([found.pop(f"{name}.{n}") for n in range(keyseg.pictures())])
        found[f"train.loss.mask_{name}_UNweighted_as_returned"] = every.mean()
    words = F.linear(keyseg.model.llm.get_input_embeddings().weight, weight, bias)
    likeness = F.normalize(key, dim=-1) @ F.normalize(words, dim=-1).T / keyseg.config["key"]["temperature"]
    first = torch.tensor([ids[0] for ids in keyseg.config["key"]["keyword_ids"]])
    found["train.loss.keyword"] = F.cross_entropy(likeness, first, ignore_index=keyseg.config["pad_token_id_used"])
    weights = keyseg.config["loss_weights"]
    found["train.loss.mask"] = sum(
        weights[name] * found[f"train.loss.mask_{name}_UNweighted_as_returned"] for name in ("bce", "dice")
    )
    found["train.loss.total"] = outputs["train.loss.ce"] + found["train.loss.mask"] + found["train.loss.keyword"]
    wanted = r"train\.(key\.fused|mask\.|loss\.(keyword|mask|total)).*"
    tools["compare"](found, {name: t for name, t in outputs.items() if re.fullmatch(wanted, name)})


@torch.no_grad()
def test_parity_keyseg_masks_of_what_it_says_and_of_one_row(golden, tools):
    keyseg = golden("keyseg", "keyseg")
    module, outputs, head = fusion(keyseg)[0], keyseg.outputs, keyseg.model.heads["mask"]
    number = int(keyseg.inputs["generate.image_index"])
    fused = module(outputs["generate.seg_embeddings"], outputs["generate.key_embeddings"])
    low = head.decode(outputs["train.sam.image_embeddings"][number : number + 1], fused[None, :, None])[0]
    whole = torch.stack(invert(low, head.tower.view, [keyseg.size(number)] * len(low)))
    rows, number = outputs["infer.row_range"].tolist(), int(outputs["infer.image_index"])
    alone = module(*states(keyseg, *rows))
    read = head.decode(outputs["train.sam.image_embeddings"][number : number + 1], alone[None, :, None])[0]
    read = torch.stack(invert(read, head.tower.view, [keyseg.size(number)] * len(read)))
    found = {"generate.fused_seg": fused, "generate.mask_low_res": low[:, None], "generate.mask_logits_original": whole}
    found["infer.mask_logits_original"] = read
    tools["compare"](found, {name: outputs[name] for name in found})
