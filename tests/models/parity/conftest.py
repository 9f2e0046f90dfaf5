"""Golden tensors of the published programs (../shared/parity), and our way to each of them.

A `Golden` is one folder: its weights converted and opened by our own code, its inputs laid out as our rows. `compare`
holds what we found against every tensor of the folder, by its name and tolerance.
"""

import json
import re
import shutil
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.shared import SHARED
from ullava.configs.schema import GenerationConfig
from ullava.configs.tokens import IMAGE, KEY, LOC, SEG
from ullava.datasets.images import View
from ullava.models.answering import Answerer
from ullava.models.assembly import Assembled, reopen
from ullava.models.batching.collator import Collator, stand
from ullava.models.batching.example import Example, PlacedMedium, PlacedPromise
from ullava.models.convert.folder import convert
from ullava.models.convert.kinds import MODEL_KINDS
from ullava.models.segmenters.base import invert

PARITY = SHARED / "parity"
IMAGE_ID = -200  # LLaVA's placeholder of a picture
TOLERANCES = (  # name -> atol, rtol, as the folders' READMEs say; the first that matches holds
    (r"loss", 1e-5, 1e-5),
    (r"grad\.", 1e-5, 1e-3),
    (r"boxes\.padded|boxes_padded", 1e-5, 0),
    (r"boxes_original", 1e-3, 0),  # the same numbers, times the picture's size
    (r"fusion\.out_bf16", 2e-2, 0),
    (r"logits|low_res", 1e-4, 1e-4),
    (r"iou", 1e-5, 0),
    (r"", 2e-5, 1e-4),
)


@dataclass
class Golden:
    """One folder of golden tensors, the place where it is converted, and our model of it."""

    folder: Path
    place: Path
    opened: Assembled
    inputs: dict[str, Tensor] = field(init=False)
    outputs: dict[str, Tensor] = field(init=False)
    config: dict = field(init=False)

    def __post_init__(self):
        self.inputs, self.outputs = (load_file(self.folder / f"{n}.safetensors") for n in ("inputs", "outputs"))
        self.config = json.loads((self.folder / "config.json").read_text())
        tokenizer = self.opened.processor.tokenizer
        self.tokens = {token: tokenizer.convert_tokens_to_ids(self.opened.processor.spell(token))
                       for token in self.model.tokens}  # fmt: skip
        self.patches = {kind: patch for kind, patch in self.opened.processor.patch_ids.items()}
        self.collate = Collator(tokenizer.pad_token_id, list(self.tokens))

    @property
    def model(self):
        return self.opened.model

    @cached_property
    def answerer(self) -> Answerer:
        return Answerer(self.opened, GenerationConfig(max_new_tokens=40, batch_size=1))

    def seen(self, pixels: Tensor, tower) -> np.ndarray:
        """Normalised (3, S, S) pixels as the (S, S, 3) numbers in 0..255 that they came from."""
        return (pixels.permute(1, 2, 0) * tower.std + tower.mean).numpy()

    def medium(self, prefix: str, number: int, column: int) -> PlacedMedium:
        """Picture `number` of a batch, as both towers see it."""
        eyes = "images_clip" if f"{prefix}images_clip" in self.inputs else "images"
        pixels = self.seen(self.inputs[f"{prefix}{eyes}"][number], self.model.vision)
        frames, frame = self.inputs.get(f"{prefix}images{'_sam' if eyes == 'images' else ''}"), None
        if frames is not None and "mask" in self.model.heads:
            frame = self.seen(frames[number], self.model.heads["mask"].tower)
        return PlacedMedium(IMAGE, column, {"pixels": pixels}, frame, self.size(number), f"{prefix}{number}")

    def size(self, number: int) -> tuple[int, int]:
        """(H, W) of a picture."""
        return tuple(self.inputs[f"size_hw.{number}"].tolist()) if f"size_hw.{number}" in self.inputs else (1, 1)

    def picture_of(self, row: int, prefix: str = "") -> int:
        """The picture that a row is about, shown or not: picture i owns rows offset[i] to offset[i + 1]."""
        offset = self.inputs.get(f"{prefix}offset")
        return row if offset is None else int((offset[1:] <= row).sum())

    def vision_features(self, row: int, prefix: str = "") -> Tensor:
        """(patches, W) of the picture that a row is about; the references see it even where it is not shown."""
        medium = self.medium(prefix, self.picture_of(row, prefix), 0)
        return self.model.vision.encode(torch.from_numpy(medium.pixels)[None], [medium.key])[0]

    def unrolled(self, ids: list[int]) -> list[int]:
        """Ids with every placeholder as the patches it becomes."""
        patches = [self.patches[IMAGE]] * self.model.vision.patches
        return [i for token in ids for i in (patches if token == IMAGE_ID else [token])]

    def spread(self, ids: list[int], values: list) -> list:
        """Values of tokens, with those of a placeholder repeated for its patches."""
        count = self.model.vision.patches
        return [v for i, value in zip(ids, values, strict=True) for v in [value] * (count if i == IMAGE_ID else 1)]

    def rows(self, prefix: str = "", wanted: range | None = None) -> list[Example]:
        """A batch of the reference as our rows."""
        inputs, rows, given = self.inputs, [], {}
        masks = inputs.get(f"{prefix}attention_mask", inputs.get(f"{prefix}attention_masks"))
        for row, mask in enumerate(masks):
            ids = inputs[f"{prefix}input_ids"][row][mask].tolist()
            labels = self.spread(ids, inputs[f"{prefix}labels"][row][mask].tolist())
            labels = [-100 if i == self.patches[IMAGE] else label for i, label in zip(self.unrolled(ids), labels)]  # noqa: B905
            picture = self.picture_of(row, prefix)
            ids = self.unrolled(ids)
            column = ids.index(self.patches[IMAGE]) if self.patches[IMAGE] in ids else None
            media = () if column is None else (self.medium(prefix, picture, column),)
            promises = tuple(self.promises(prefix, picture, ids, given))
            rows.append(Example(f"{prefix}{row}", np.array(ids), np.array(labels) != -100, media, promises))
        return [rows[n] for n in wanted] if wanted is not None else rows

    def promises(self, prefix: str, picture: int, ids: list[int], given: dict):
        """A row's owner tokens, each with the next target of its picture."""
        for column, token in enumerate(ids):
            for name, number in self.tokens.items():
                if token != number:
                    continue
                owner = None if name == KEY else picture  # keywords are listed row by row
                n = given[name, owner] = given.get((name, owner), -1) + 1
                if name == KEY:
                    words = (tuple(self.config["key"]["keyword_ids"][n]),)
                    yield PlacedPromise(name, column, 0, None, None, words)
                    continue
                kind = {SEG: "gt_mask", LOC: "gt_boxes"}[name]
                target = self.inputs[f"{prefix}{kind}.{picture}"][n].numpy()
                mask, box = (target, None) if name == SEG else (None, self.fractions(target, self.size(picture)))
                yield PlacedPromise(name, column, 0, mask, box)

    def fractions(self, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A box in u-LLaVA's padded square, 0..1, as fractions of its picture."""
        scale, shift = self.model.vision.view.placement(size)
        return (box.astype(float) * self.model.vision.view.side - shift) / scale / np.array(size[::-1] * 2)

    def pictures(self, prefix: str = "") -> int:
        """How many pictures a batch has."""
        offset = self.inputs.get(f"{prefix}offset")
        return len(self.inputs[f"{prefix}input_ids"]) if offset is None else len(offset) - 1

    def read(self, rows: list[Example]):
        """(batch, embeddings, last hidden states) of given rows."""
        batch = by_picture(self.collate(rows)) if KEY in self.tokens else self.collate(rows)
        prompt = self.model.backbone.encode(batch)
        return batch, prompt.embeds, self.model.backbone.states(prompt)

    def words(self, batch, states: Tensor, logits: int) -> dict[str, Tensor]:
        """States and logits where there are labels, and their loss."""
        at = states[batch.target_rows, batch.target_columns]
        return {
            "llm.last_hidden_at_labels": at,
            "llm.logits_at_labels": self.model.llm.lm_head(at[:logits])[:, : self.config["llm"]["vocab_size"]],
            "loss.ce": self.model.lm_loss(states, batch).mean(),
        }

    def masks(self, batch, states: Tensor, prefix: str = "") -> dict[str, Tensor]:
        """What the mask head makes of the [SEG] states, picture by picture."""
        head, promised = self.model.heads["mask"], batch.promised[SEG]
        at, *further = self.heard(head, states, batch)
        predicted, projected = head(at, batch, *further), head.project(at)
        prompts, logits = head.prompts(at, batch, *further)[0], predicted.logits
        standing = torch.zeros(states.shape[:2], dtype=torch.bool)
        standing[promised.rows, promised.columns] = True
        found = {"seg.embeddings": projected, "seg.position_mask": standing}
        if predicted.keys is not None:
            named, standing = batch.promised[KEY], torch.zeros_like(standing)
            standing[named.rows, named.columns] = True
            found |= {"key.embeddings": predicted.keys, "key.position_mask": standing}
        frames = [self.medium(prefix, n, 0) for n in range(self.pictures(prefix))]
        features = head.tower.encode(
            torch.from_numpy(np.stack([f.frame for f in frames])), [f.key for f in frames], [f.size for f in frames]
        )
        found["sam.image_embeddings"] = features
        whole = invert(logits, head.tower.view, promised.sizes)
        keys = [batch.frame_keys[promised.owners[k]] for k in promised.pictures.tolist()]
        for n, frame in enumerate(frames):
            own = [k for k, key in enumerate(keys) if key == frame.key]
            found[f"mask.low_res.{n}"] = logits[own][:, None]
            found[f"mask.logits_original.{n}"] = (
                torch.stack([whole[k] for k in own]) if own else logits.new_zeros(0, *frame.size)
            )
            found[f"mask.iou_pred.{n}"] = self.confidence(features[n], prompts[own])
            found[f"key.fused_seg.{n}"] = prompts[own]
        return found

    def heard(self, head, states: Tensor, batch) -> list[Tensor]:
        """The states of each token that a head reads."""
        promised = [batch.promised[token] for token in head.tokens]
        return [states[some.rows, some.columns] for some in promised]

    def confidence(self, features: Tensor, prompts: Tensor) -> Tensor:
        """(K, 1): how well SAM thinks of its masks; our head does not ask."""
        head = self.model.heads["mask"]
        if not len(prompts):
            return prompts.new_zeros(0, 1)
        return head.segmenter.decode((features[None],), prompts[None, :, None]).quality[0, :, None]

    def said(self, prompt: Tensor, media: tuple[PlacedMedium, ...], most: int | None = None):
        """(the first `most` ids, batch, states) of what we say to a prompt, the prompt's ids as they came."""
        answerer, ids = self.answerer, prompt.tolist()
        row = Example("prompt", np.array(self.unrolled(ids)), np.zeros(len(self.unrolled(ids)), bool), media, ())
        batch = answerer.collate_open([row])
        prompt_of_row = self.model.backbone.encode(batch)
        said = answerer.generate(prompt_of_row)
        batch, states = answerer.reread(prompt_of_row, batch, said, [row])
        return torch.tensor([ids + said.ids[0].tolist()])[:, :most], batch, states

    def spoken(self) -> dict[str, Tensor]:
        """What we say to the folder's own prompt, and what the mask head makes of it."""
        number = int(self.inputs.get("generate.image_index", self.inputs.get("generate.sample_index")))
        prompt = self.inputs["generate.input_ids"][0]
        column = self.unrolled(prompt.tolist()).index(self.patches[IMAGE])
        ids, batch, states = self.said(prompt, (self.medium("", number, column),))
        found = {"generate.output_ids": ids}
        if "mask" in self.model.heads:
            head, promised = self.model.heads["mask"], batch.promised[SEG]
            at, *further = self.heard(head, states, batch)
            predicted, prompts = head(at, batch, *further), head.prompts(at, batch, *further)[0]
            logits = predicted.logits
            found |= {"generate.key_embeddings": predicted.keys, "generate.fused_seg": prompts} if further else {}
            found |= {
                "generate.seg_embeddings": head.project(at), "generate.mask_low_res": logits[:, None],
                "generate.mask_logits_original": torch.stack(invert(logits, head.tower.view, promised.sizes)),
            }  # fmt: skip
        if "box" in self.model.heads:
            head, promised = self.model.heads["box"], batch.promised[LOC]
            boxes = head(states[promised.rows, promised.columns], batch)
            found["generate.boxes_padded_xyxy"] = boxes
            found["generate.boxes_original_pixels"] = placed(boxes, self.size(number))
        return found

    def learn_all(self) -> None:
        """Gives every weight that the Trainer could see a gradient."""
        self.model.zero_grad(set_to_none=True)
        self.model.requires_grad_(True)


def by_picture(batch):
    """The batch with all rows about one picture as KeySeg takes them: together, as if they were one row."""
    first = [batch.frame_keys.index(key) for key in batch.frame_keys]

    def joined(promised):
        states = list(zip(promised.rows.tolist(), promised.columns.tolist(), strict=True))
        frames = [first[promised.owners[n]] for n in promised.pictures.tolist()]
        kept = {name: getattr(promised, name) for name in ("masks", "with_mask", "words", "ignoring")}
        return replace(stand(states, frames, promised.sizes), **kept)

    return replace(batch, promised={token: joined(promised) for token, promised in batch.promised.items()})


def placed(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes in pixels as u-LLaVA places them: it pads by whole pixels and takes the padding away by halves."""
    side = max(size)
    shift = torch.tensor([(side - size[1]) / 2, (side - size[0]) / 2] * 2)
    ours = torch.from_numpy(View(1, "pad").boxes_from(boxes.numpy(), size)).float()
    theirs = boxes * side - shift
    assert (ours - theirs.clamp(min=0)).abs().max() <= 0.5 + 1e-4
    return theirs


def under(prefix: str, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with something before the names."""
    return {prefix + name: tensor for name, tensor in found.items()}


PADDED = re.compile(r"(inputs_embeds|last_hidden|hidden_states\.\d+)\.row0$")  # (L, D), padding included


def compare(found: dict[str, Tensor], outputs: dict[str, Tensor], leave: str | None = None) -> None:
    """Holds every golden tensor against ours; names that match `leave` may be absent.

    What stands at padding is nobody's business: the references put zeros there where a row shows no picture, and the
    pad token elsewhere. With `expanded.attention_mask` among the golden tensors, row 0 is compared where it attends.

    Raises:
        AssertionError: lists each tensor that is absent, of another shape, or too far away.
    """
    faults = []
    for name, golden in outputs.items():
        if leave and re.fullmatch(leave, name):
            continue
        if name not in found:
            faults.append(f"{name}: not found")
            continue
        ours = found[name].detach()
        masks = [mask for key, mask in outputs.items() if key.endswith("expanded.attention_mask")]
        if masks and PADDED.search(name) and ours.shape == golden.shape:
            ours, golden = ours[masks[0][0].bool()], golden[masks[0][0].bool()]
        atol, rtol = next((a, r) for expression, a, r in TOLERANCES if re.search(expression, name))
        if tuple(ours.shape) != tuple(golden.shape):
            faults.append(f"{name}: shape {tuple(ours.shape)}, expected {tuple(golden.shape)}")
        elif not golden.is_floating_point():
            if not torch.equal(ours.to(golden.dtype), golden):
                faults.append(f"{name}: differs")
        elif not torch.allclose(ours.float(), golden.float(), atol=atol, rtol=rtol):
            faults.append(f"{name}: off by {(ours.float() - golden.float()).abs().max():.2e}")
    assert not faults, "; ".join(faults)


def published(name: str, folder: Path) -> Path:
    """A parity folder laid out as its model was published."""
    folder.mkdir(parents=True)
    shutil.copyfile(PARITY / name / "hf_config.json", folder / "config.json")
    shutil.copyfile(PARITY / name / "weights.safetensors", folder / "model.safetensors")
    for file in (PARITY / name / "tokenizer").iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder


@pytest.fixture(scope="session")
def publish(tmp_path_factory):
    """Lays out parity folders as published; skips where there are none."""

    def lay(name: str) -> Path:
        if not (PARITY / name).is_dir():
            pytest.skip(f"no {PARITY / name}")
        return published(name, tmp_path_factory.mktemp("published") / name)

    return lay


@pytest.fixture(scope="session")
def golden(publish, tmp_path_factory):
    """Converts and opens a parity folder, once in a session."""
    opened: dict[str, Golden] = {}

    def open_golden(name: str, kind: str) -> Golden:
        if name not in opened:
            source, place = publish(name), tmp_path_factory.mktemp("converted") / name
            sizes = json.loads((PARITY / name / "config.json").read_text())
            eyes = next(PARITY / name / n for n in ("clip-vit-tiny", "clip_processor") if (PARITY / name / n).is_dir())
            heads = (sizes.get("sam") or {}).get("decoder_heads")
            convert(kind, source, place, vision=str(eyes), sam_heads=heads)
            opened[name] = Golden(PARITY / name, place, reopen(place))
        return opened[name]

    return open_golden


def labels(batch) -> Tensor:
    """(B, L) labels as the references lay them out: -100 where nothing is supervised."""
    found = torch.full(batch.input_ids.shape, -100)
    found[batch.target_rows, batch.target_columns + 1] = batch.target_ids
    return found


def gradients(golden: Golden, kind: str, norms: dict[str, float | None], prefix="", tensors=True) -> None:
    """Holds our gradients against the published program's: the norm of each, and those that are given whole."""
    table, faults = MODEL_KINDS[kind].table, []
    parameters = dict(golden.model.named_parameters())
    for name, norm in norms.items():
        ours = [n.replace("sam.mask_decoder", "heads.mask.mask_decoder") for n in table.reads(name)]
        ours = [n for n in ours if n in parameters and parameters[n].grad is not None]
        if norm is None or not ours:
            faults += [f"{name}: no gradient"] if norm else []
            continue
        found = parameters[ours[0]].grad
        if abs(found.norm().item() - norm) > 1e-5 + 1e-3 * norm:
            faults.append(f"{name}: {found.norm():.6f}, expected {norm:.6f}")
        whole = golden.outputs.get(f"{prefix}grad.{name.removeprefix('model.') if prefix else name}")
        if tensors and whole is not None and not torch.allclose(found[: len(whole)], whole, atol=1e-5, rtol=1e-3):
            faults.append(f"{name}: off by {(found - whole).abs().max():.2e}")
    assert norms and not faults, "; ".join(faults)


def pixels(golden: Golden, eyes: str, frames: str) -> None:
    """Our towers' own view of each raw picture is what the published program made of it."""
    towers = ((eyes, golden.model.vision), (frames, golden.model.heads["mask"].tower))
    for name, tower in towers:
        for number, expected in enumerate(golden.inputs[name]):
            raw = golden.inputs[f"raw_image.{number}"].numpy()
            found = tower.normalise(torch.from_numpy(tower.view.apply(raw))[None])
            if tower.view.aspect == "corner":
                height, width = tower.view.resized(raw.shape[:2])
                assert (height, width) == tuple(golden.inputs[f"resize_hw.{number}"].tolist())
                found[..., height:, :], found[..., width:] = 0, 0
            torch.testing.assert_close(found[0], expected, atol=1e-4, rtol=0)


@torch.no_grad()
def family(golden: Golden, prefix: str = "") -> dict[str, Tensor]:
    """Everything of a batch of the LISA family, by its golden name; the main batch is called `train.`."""
    rows, there = golden.rows(prefix), prefix or "train."
    batch, embeds, states = golden.read(rows)
    loss, weights = golden.model(batch), golden.config["loss_weights"]
    found = golden.words(batch, states, logits=len(golden.outputs[f"{there}llm.logits_at_labels"]))
    found |= golden.masks(batch, states, prefix) | {
        "clip.features.row0": golden.vision_features(0, prefix),
        "expanded.inputs_embeds.row0": embeds[0], "llm.last_hidden.row0": states[0],
        "expanded.attention_mask": batch.attention_mask.bool(), "expanded.labels": labels(batch),
        "loss.mask_bce_weighted": weights["bce"] * loss.parts["mask_bce"],
        "loss.mask_dice_weighted": weights["dice"] * loss.parts["mask_dice"], "loss.total": loss.total,
    }  # fmt: skip
    found["loss.mask"] = found["loss.mask_bce_weighted"] + found["loss.mask_dice_weighted"]
    return under(there, found)


@torch.no_grad()
def inferred(golden: Golden, prefix: str = "") -> dict[str, Tensor]:
    """Masks of some rows alone, and those of what we say ourselves."""
    first, last = golden.outputs["infer.row_range"].tolist()
    number = int(golden.outputs["infer.image_index"])
    batch, _, states = golden.read(golden.rows(prefix, range(first, last)))
    found = golden.masks(batch, states, prefix)[f"mask.logits_original.{number}"]
    given = {name: golden.outputs[name] for name in ("infer.row_range", "infer.image_index")}  # says which rows
    return {"infer.mask_logits_original": found} | given | golden.spoken()


def family_gradients(golden: Golden, kind: str) -> None:
    """As `gradients`, by the LISA family's names."""
    gradients(golden, kind, json.loads((golden.folder / "grad_norms.json").read_text()), prefix="train.")


@pytest.fixture
def tools():
    """What test modules of this folder share."""
    shared = (gradients, pixels, family, inferred, family_gradients)
    return {function.__name__: function for function in (compare, labels, under, *shared)}
