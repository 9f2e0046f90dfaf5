"""Whole models in and out: nothing lost, nothing changed, nothing loaded half."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ullava.configs.schema import ModelConfig
from ullava.models.assembly import assemble, reopen
from ullava.models.convert import folder as module
from ullava.models.convert.export import export_ullava
from ullava.models.convert.folder import convert


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(kind, source, target, clip, *words):
    """The one error of a conversion that leaves nothing behind."""
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        convert(kind, source, target, vision=clip)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert not list(target.parent.glob(f"{target.name}*"))


def test_every_kind_opens_with_the_published_weights(kind, publish, weights, clip, tmp_path):
    source = publish(kind)
    opened = reopen(convert(kind, source, tmp_path / "ours", vision=clip))
    theirs, table = weights(kind), module.kind_of(kind).table
    ours = dict(opened.model.named_weights())
    for name, tensor in theirs.items():
        for here in table.reads(name):
            here = here.replace("sam.mask_decoder", "heads.mask.mask_decoder").replace("sam.vision_", "sam_")
            if here in ours:
                assert torch.equal(ours.pop(here), tensor), name
    rest = [name for name in ours if not name.startswith("vision_module.")]  # CLIP's tail is not opened
    assert not rest


@pytest.mark.parametrize("kind", ["ullava", "ullava_v1"])
def test_a_model_goes_out_and_comes_back_bit_for_bit(kind, publish, tmp_path):
    first = convert(kind, publish(kind), tmp_path / "first")
    export_ullava(first, tmp_path / "theirs", kind)
    second = convert(kind, tmp_path / "theirs", tmp_path / "second")
    assert contents(first) == contents(second)


def test_the_first_stage_goes_out_and_comes_back(publish, tmp_path):
    first = convert("ullava", publish("ullava", model_type="ullava_core"), tmp_path / "first")
    assert json.loads((first / "ullava.json").read_text())["model"]["conversation"] == "simple"
    export_ullava(first, tmp_path / "theirs")
    assert contents(first) == contents(convert("ullava", tmp_path / "theirs", tmp_path / "second"))


def test_many_files_are_one_model(publish, weights, clip, tmp_path, monkeypatch):
    whole = contents(convert("lisa", publish("lisa"), tmp_path / "whole", vision=clip))
    theirs = weights("lisa")
    names = sorted(theirs)
    for suffix, write in ((".safetensors", save_file), (".bin", torch.save)):
        source = publish("lisa", {}, name=f"shards{suffix}")
        (source / "model.safetensors").unlink()
        places = {}
        for n in (0, 1):
            file = f"part-{n}{suffix}"
            write({name: theirs[name] for name in names[n::2]}, source / file)
            places |= dict.fromkeys(names[n::2], file)
        index = "model.safetensors.index.json" if suffix == ".safetensors" else "pytorch_model.bin.index.json"
        (source / index).write_text(json.dumps({"weight_map": places}))
        assert contents(convert("lisa", source, tmp_path / f"ours{suffix}", vision=clip)) == whole
        (source / "part-1").with_suffix(suffix).unlink()
        refused("lisa", source, tmp_path / "none", clip, f"part-1{suffix}", "missing")


def test_a_large_language_model_is_written_in_shards(publish, tmp_path, clip, monkeypatch):
    whole = convert("lisa", publish("lisa"), tmp_path / "whole", vision=clip)
    monkeypatch.setattr(module, "SHARD", 4000)
    shards = convert("lisa", tmp_path / "published", tmp_path / "shards", vision=clip)
    assert len(list((shards / "llm").glob("model-*.safetensors"))) > 1
    one, many = (dict(reopen(folder).model.named_weights()) for folder in (whole, shards))
    assert all(torch.equal(one[name], many[name]) for name in one)


@pytest.mark.parametrize("kind", ["lisa", "ullava"])
def test_keys_that_do_not_fit_are_one_error_that_lists_them(kind, publish, weights, clip, tmp_path):
    theirs = weights(kind)
    token, norm, size = (next(name for name in theirs if name.endswith(end)) for end in
                         ("iou_token.weight", "model.norm.weight", "visual_model.image_encoder.pos_embed"))  # fmt: skip
    cases = (
        ({name.replace("iou_token", "iou_tokens"): t for name, t in theirs.items()}, f"{token} is missing"),
        ({name.replace("iou_token", "iou_tokens"): t for name, t in theirs.items()}, "iou_tokens.weight is unknown"),
        ({name: t for name, t in theirs.items() if name not in (token, norm)}, f"{norm} is missing"),
        (theirs | {norm: theirs[norm][:-1].clone()}, f"{norm} has shape (15,), expected (16,)"),
        (theirs | {"some.other.weight": torch.zeros(1)}, "some.other.weight is unknown"),
        ({name: t for name, t in theirs.items() if name != size}, f"{size} is missing"),
    )
    for case, said in cases:
        refused(kind, publish(kind, case, name="a"), tmp_path / "ours", clip, said)
        shutil.rmtree(tmp_path / "a")


def test_a_file_cut_off_and_a_file_of_something_else(publish, clip, tmp_path):
    source = publish("lisa")
    held = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(held[: len(held) // 2])
    refused("lisa", source, tmp_path / "ours", clip, "model.safetensors", "cannot be read")
    (source / "model.safetensors").unlink()
    (source / "pytorch_model.bin").write_bytes(b"no checkpoint at all")
    refused("lisa", source, tmp_path / "ours", clip, "pytorch_model.bin", "cannot be read")
    torch.save({"epoch": 3, "names": ["a"]}, source / "pytorch_model.bin")
    refused("lisa", source, tmp_path / "ours", clip, "holds no weights by name")
    (source / "pytorch_model.bin").unlink()
    refused("lisa", source, tmp_path / "ours", clip, "no weights", "model.safetensors")


def test_weights_of_another_kind_are_refused(publish, weights, clip, tmp_path):
    refused("lisa", publish("lisa", weights("llava")), tmp_path / "ours", clip, "segment-anything")


def test_buffers_and_copies_of_clip_may_be_there_or_not(publish, weights, clip, tmp_path):
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    extra["model.vision_tower.vision_tower.x"] = torch.ones(1)
    plain = contents(convert("lisa", publish("lisa"), tmp_path / "a", vision=clip))
    full = convert("lisa", publish("lisa", weights("lisa") | extra, name="full"), tmp_path / "b", vision=clip)
    assert contents(full) == plain


def test_a_missing_clip_says_which(publish, tmp_path):
    refused("lisa", publish("lisa"), tmp_path / "ours", None, "--vision", "openai/clip")


def lora(theirs, prefix: str, wrap) -> dict[str, torch.Tensor]:
    """Adapters beside the q and v of every layer, by the names that `wrap` makes."""
    rng, found = torch.Generator().manual_seed(7), {}
    for name in theirs:
        if name.startswith(prefix) and name.endswith(("q_proj.weight", "v_proj.weight")) and "self_attn" in name:
            stem = name.removesuffix(".weight")
            if "layers" not in stem or "visual_model" in stem or "vision" in stem:
                continue
            found[wrap(stem, "A")] = torch.randn(2, 16, generator=rng)
            found[wrap(stem, "B")] = torch.randn(16, 2, generator=rng)
    return found


def test_adapters_stay_adapters_whatever_names_they_come_by(publish, weights, clip, tmp_path):
    theirs = weights("ullava")
    beside = publish("ullava", name="beside")
    held = lora(theirs, "llm.model.layers", lambda s, x: f"base_model.model.{s.removeprefix('llm.')}.lora_{x}.weight")
    torch.save(held, beside / "adapter_model.bin")
    (beside / "adapter_config.json").write_text(json.dumps({"lora_alpha": 16, "lora_dropout": 0.05}))
    names = ("llm.model.", "llm.base_model.model.model.")
    wrapped = {name.replace(*names): tensor for name, tensor in theirs.items()}
    wrapped |= lora(theirs, "llm.model.layers", lambda s, x: f"{s.replace(*names)}.lora_{x}.default.weight")
    inside = publish("ullava", wrapped, name="inside")
    one = contents(convert("ullava", beside, tmp_path / "one"))
    assert contents(convert("ullava", inside, tmp_path / "two")) == one
    opened = dict(reopen(tmp_path / "one").model.named_weights())
    found = opened["llm.model.layers.1.self_attn.v_proj.lora_A.default.weight"]
    assert torch.equal(found, held["base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"])
    held.popitem()
    torch.save(held, beside / "adapter_model.bin")
    refused("ullava", beside, tmp_path / "three", None, "lora_B", "missing")


def test_training_files_of_the_lisa_family_are_read(publish, weights, clip, tmp_path):
    theirs = weights("lisa")
    wrapped = {f"base_model.model.{name}": tensor for name, tensor in theirs.items()}
    wrapped |= lora(theirs, "model.layers", lambda s, x: f"base_model.model.{s}.lora_{x}.default.weight")
    opened = reopen(convert("lisa", publish("lisa", wrapped), tmp_path / "ours", vision=clip))
    assert opened.config.lora.rank == 2 and opened.config.lora.targets == ("q_proj", "v_proj")


def test_a_delta_is_added_to_its_base(publish, weights, clip, tmp_path):
    target, base = weights("llava"), tmp_path / "base"
    drawn = {name: tensor for name, tensor in weights("llava", 5).items() if "projector" not in name}
    old = {n: t[:40].clone() if n.endswith(("tokens.weight", "head.weight")) else t for n, t in drawn.items()}
    base.mkdir()
    save_file(old, base / "model.safetensors")
    delta = {name: tensor.clone() for name, tensor in target.items()}
    for name, tensor in old.items():
        delta[name][: len(tensor)] -= tensor
    found = convert("llava", publish("llava", delta), tmp_path / "ours", vision=clip, base=str(base))
    llm = load_file(found / "llm" / "model.safetensors")
    for name in ("model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight"):
        torch.testing.assert_close(llm[name], target[name])


def test_a_deepspeed_folder_is_read_only_when_trusted(publish, weights, clip, tmp_path):
    plain = contents(convert("lisa", publish("lisa"), tmp_path / "plain", vision=clip))
    source = publish("lisa", name="run")
    (source / "model.safetensors").unlink()
    (source / "global_step5").mkdir()
    (source / "latest").write_text("global_step5")
    held = {"module": {f"module.{name}": t for name, t in weights("lisa").items()}, "args": Path("x")}
    torch.save(held, source / "global_step5" / "mp_rank_00_model_states.pt")
    refused("lisa", source, tmp_path / "ours", clip, "--trust")
    assert contents(convert("lisa", source, tmp_path / "ours", vision=clip, trust=True)) == plain


def test_a_pickle_that_runs_code_is_refused(publish, clip, tmp_path):
    source = publish("lisa")
    (source / "model.safetensors").unlink()
    torch.save({"model": Path("anything")}, source / "pytorch_model.bin")
    refused("lisa", source, tmp_path / "ours", clip, "pytorch_model.bin", "--trust")


@pytest.mark.parametrize("name", ["lisa", "ullava"])
def test_a_yaml_that_names_a_whole_model_as_published_is_told_to_convert_it(name, publish, clip):
    source = publish(name)
    with pytest.raises(ValueError, match=f"ullava convert KIND .*KIND: .*{name}"):
        assemble(ModelConfig(llm=str(source), vision={"tower": clip}))


def test_something_at_the_destination_stays(publish, clip, tmp_path):
    (tmp_path / "ours").mkdir()
    with pytest.raises(FileExistsError, match="ours"):
        convert("lisa", publish("lisa"), tmp_path / "ours", vision=clip)


def test_an_unmerged_run_is_not_exported(publish, tmp_path):
    first = convert("ullava_v1", publish("ullava_v1"), tmp_path / "first")
    with pytest.raises(ValueError, match="has the heads mask; ullava has box, mask"):
        export_ullava(first, tmp_path / "out", "ullava")
    assert not (tmp_path / "out").exists()
