"""segment-anything's files: every size, both directions, and straight from a YAML's key."""

import pytest
import torch
from safetensors.torch import save_file
from transformers import SamConfig, SamModel

from ullava.models.convert.export import export_sam
from ullava.models.convert.folder import convert_sam
from ullava.models.segmenters import sam_weights as sam
from ullava.models.segmenters.sam import open_sam
from ullava.models.tiny import tiny_sam

PUBLISHED = {  # segment-anything, build_sam.py: width, blocks, heads, global blocks; tensors of the file
    "vit_b": (768, 12, 12, [2, 5, 8, 11], 314),
    "vit_l": (1024, 24, 16, [5, 11, 17, 23], 482),
    "vit_h": (1280, 32, 16, [7, 15, 23, 31], 594),
}


@pytest.fixture(scope="module")
def small():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return tiny_sam(patch=12, width=32, layers=2, channels=32)


@pytest.fixture
def file(small, tmp_path):
    path = tmp_path / "sam_vit_t.pth"
    torch.save(sam.published(small), path)
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes_are_read_from_shapes(name):
    width, blocks, heads, whole, count = PUBLISHED[name]
    config = SamConfig(vision_config={
        "hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads, "mlp_dim": 4 * width,
        "global_attn_indexes": whole,
    })  # fmt: skip
    with torch.device("meta"):
        theirs = {sam.TABLE.writes(name): tensor for name, tensor in SamModel(config).state_dict().items()}
    assert len(theirs) == count
    found = sam.settings(theirs, name)
    assert found.vision_config.global_attn_indexes == whole
    for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config"):
        ours, given = getattr(found, part).to_dict(), getattr(config, part).to_dict()
        differ = {key for key in given if ours[key] != given[key]}
        assert differ <= {"mlp_ratio", "initializer_range", "layer_norm_eps"}
    assert found.mask_decoder_config.layer_norm_eps == 1e-5


def test_a_file_comes_back_bit_for_bit(small, file, tmp_path):
    folder = convert_sam(file, tmp_path / "folder", heads=4)
    export_sam(folder, tmp_path / "back.pth")
    one, two = (torch.load(path, weights_only=True) for path in (file, tmp_path / "back.pth"))
    assert list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)
    again = SamModel.from_pretrained(folder).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in small.state_dict().items())
    assert again.keys() == small.state_dict().keys()


def test_a_file_and_its_folder_are_one_sam_to_a_yaml(file, tmp_path):
    folder = convert_sam(file, tmp_path / "folder")
    whole, tower = open_sam(str(file), from_scratch=False, dtype=torch.float32)
    other, same = open_sam(str(folder), from_scratch=False, dtype=torch.float32)
    pixels = torch.randint(0, 256, (1, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tower.encode(pixels, "a", [(60, 90)]), same.encode(pixels, "a", [(60, 90)]))
    assert tower.view == same.view
    norms = [m for m in whole.mask_decoder.transformer.modules() if isinstance(m, torch.nn.LayerNorm)]
    assert norms and all(norm.eps == 1e-5 for norm in norms)
    assert whole.mask_decoder.upscale_layer_norm.eps == other.mask_decoder.upscale_layer_norm.eps == 1e-6


def test_a_run_trains_on_the_file_itself(recipe, file, world, tmp_path):
    from ullava.models.assembly import assemble, reopen
    from ullava.models.batching.collator import Collator
    from ullava.models.folders.checkpoints import save

    assembled = assemble(recipe(heads={"mask": {"sam": str(file)}}))
    rows = [assembled.processor(world.dialogue("a", [0], ("Where?", "Sure. [SEG]."), regions=(world.region(0),)))]
    losses = assembled.model(Collator(0, ["[SEG]"])(rows))
    losses.total.backward()
    assert assembled.model.heads["mask"].mask_decoder.iou_token.weight.grad is not None
    save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    again = reopen(tmp_path / "run")
    assert torch.equal(again.model(Collator(0, ["[SEG]"])(rows)).total, losses.total)


@pytest.mark.parametrize("option", ["sam", "weights"])
def test_what_a_run_taught_its_sam_is_exported(recipe, zoo, tmp_path, option):
    from ullava.models.assembly import assemble
    from ullava.models.folders.checkpoints import save

    assembled = assemble(recipe(heads={"mask": {option: str(zoo / "sam")}}))
    decoder = assembled.model.heads["mask"].mask_decoder
    with torch.no_grad():
        decoder.iou_token.weight.add_(1)
    save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    found = torch.load(export_sam(tmp_path / "run", tmp_path / "sam.pth"), weights_only=True)
    assert torch.equal(found["mask_decoder.iou_token.weight"], decoder.iou_token.weight)
    first = SamModel.from_pretrained(zoo / "sam").state_dict()["vision_encoder.pos_embed"]
    assert torch.equal(found["image_encoder.pos_embed"], first)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_broken_files_are_one_error(small, suffix, tmp_path):
    path, whole = tmp_path / f"sam{suffix}", sam.published(small)
    (torch.save if suffix == ".pth" else save_file)(
        {name: tensor.contiguous().clone() for name, tensor in whole.items()}, path
    )
    held = path.read_bytes()
    path.write_bytes(held[: len(held) // 2])
    with pytest.raises(ValueError, match=rf"sam\{suffix}: cannot be read .*fetch it again"):
        sam.open_file(path)
    path.write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match=rf"sam\{suffix}: cannot be read"):
        sam.open_file(path)


def test_keys_that_do_not_fit_are_listed(small):
    whole = sam.published(small)
    name = "mask_decoder.iou_token.weight"
    renamed = {n.replace("iou_token", "iou_tokens"): t for n, t in whole.items()}
    for held, said in (
        (renamed, f"iou_tokens.weight is unknown.*{name} is missing"),
        ({n: t for n, t in whole.items() if n != name}, f"{name} is missing"),
        (whole | {name: whole[name][:, :5]}, rf"{name} has shape \(1, 5\), expected \(1, 32\)"),
    ):
        with pytest.raises(ValueError, match=said):
            sam.build(held, "x.pth")
    with pytest.raises(ValueError, match="no checkpoint of segment-anything"):
        sam.build({"model.norm.weight": torch.ones(3)}, "x.pth")


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pth"):
        sam.open_file(tmp_path / "none.pth")
