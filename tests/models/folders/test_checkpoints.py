"""Folders: what is written comes back bit for bit, and what does not fit is refused whole."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.older import without_sums
from ullava.models.assembly import assemble, reopen
from ullava.models.folders.checkpoints import ADAPTER, CARD, LEARNED, load_learned, read_card, save
from ullava.models.stages import prepare

LORA = {"rank": 2, "dropout": 0.0}


def stir(model) -> None:
    """Gives every weight that learns another value, so that no default can pass for it."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=rng) * 0.02)


@pytest.fixture(scope="module")
def trained(recipe):
    """A network with adapters that has moved away from where it began."""
    assembled = assemble(recipe(lora=LORA))
    parts = ("lora", "projector", "embeddings", "lm_head", "heads", "mask_decoder")
    prepare(assembled.model, dict.fromkeys(parts, 1e-3))
    stir(assembled.model)
    return assembled


@pytest.fixture(scope="module")
def kept(trained, tmp_path_factory):
    """Its folder; no test changes it."""
    folder = tmp_path_factory.mktemp("run")
    save(folder, trained.model, trained.config, trained.processor.tokenizer)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    """A copy of the folder, to be broken."""
    return shutil.copytree(kept, tmp_path / "run")


def edit(path, change) -> None:
    """Rewrites a safetensors file."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})
    if (path.parent / "ullava.json").is_file():
        without_sums(path.parent)


def test_a_folder_opens_bit_for_bit(trained, kept):
    opened = reopen(kept).model
    weights, expected = dict(opened.named_weights()), dict(trained.model.named_weights())
    assert weights.keys() == expected.keys()
    assert [name for name in weights if not torch.equal(weights[name], expected[name])] == []


def test_what_a_head_counted_is_kept(recipe, tmp_path):
    first = assemble(recipe(heads={"mask": recipe().heads["mask"] | {"standardise": True}}))
    first.model.heads["mask"].standardise(torch.randn(4, first.model.config.hidden_size))
    save(tmp_path, first.model, first.config, first.processor.tokenizer)
    opened, expected = reopen(tmp_path).model.heads["mask"].standardise, first.model.heads["mask"].standardise
    assert opened.seen.item() == 1 and torch.equal(opened.mean, expected.mean)
    assert torch.equal(opened.variance, expected.variance)


def test_a_folder_holds_what_learned_and_no_base(kept):
    names = set(load_file(kept / LEARNED))
    assert "llm.model.embed_tokens.weight" in names
    assert not any(name.startswith(("llm.model.layers", "vision_module", "sam_encoder")) for name in names)
    assert all(".lora_" in name for name in load_file(kept / ADAPTER))
    assert json.loads((kept / CARD).read_text())["learned"] == sorted(names)


def test_a_learned_language_model_is_kept_through_stages(recipe, tmp_path):
    """What stage I learned in the LLM is frozen in stage II, and still has to be in its folder."""
    first = assemble(recipe(heads={}))
    prepare(first.model, {"llm": 1e-3})
    with torch.no_grad():
        first.model.llm.model.layers[0].mlp.up_proj.weight.add_(1)
    save(tmp_path / "one", first.model, first.config, first.processor.tokenizer)
    second = assemble(recipe(llm=str(tmp_path / "one"), lora=LORA))
    prepare(second.model, {"lora": 1e-3})
    save(tmp_path / "two", second.model, second.config, second.processor.tokenizer)
    third = reopen(tmp_path / "two").model.llm.model.layers[0].mlp.up_proj.weight
    assert torch.equal(third, first.model.llm.model.layers[0].mlp.up_proj.weight)


def test_a_learned_weight_of_the_language_model_that_is_missing_is_named(recipe, tmp_path):
    assembled = assemble(recipe(heads={}))
    prepare(assembled.model, {"llm": 1e-3})
    save(tmp_path, assembled.model, assembled.config, assembled.processor.tokenizer)
    edit(tmp_path / LEARNED, lambda tensors: tensors.pop("llm.model.norm.weight"))
    with pytest.raises(ValueError, match="1 weights do not fit this model; llm.model.norm.weight is missing there"):
        reopen(tmp_path)


@pytest.mark.parametrize("part", ["vision", "sam_encoder"])
def test_a_tower_that_learned_is_kept(recipe, tmp_path, part):
    first = assemble(recipe())
    first.model.let_learn(part)
    prepare(first.model, {part: 1e-3})
    with torch.no_grad():
        for parameter in filter(lambda each: each.requires_grad, first.model.towers[part].module.parameters()):
            parameter.add_(0.1)
    save(tmp_path, first.model, first.config, first.processor.tokenizer)
    opened = reopen(tmp_path).model.towers[part].module
    for mine, yours in zip(opened.parameters(), first.model.towers[part].module.parameters(), strict=True):
        assert torch.equal(mine, yours)


def rename(tensors) -> None:
    tensors["projector.9.weight"] = tensors.pop("projector.0.weight")


def lose(tensors) -> None:
    del tensors["heads.box.regress.0.bias"]


def widen(tensors) -> None:
    tensors["projector.0.weight"] = torch.zeros(32, 31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename, "2 weights do not fit .*; projector.9.weight is unknown here; projector.0.weight is missing there"),
        (lose, "1 weights do not fit this model; heads.box.regress.0.bias is missing there"),
        (widen, r"projector.0.weight has shape \(32, 31\), expected \(32, 32\)"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_none_is_loaded(folder, recipe, change, message):
    edit(folder / LEARNED, change)
    model = assemble(recipe(lora=LORA)).model
    before = {name: weight.clone() for name, weight in model.named_weights()}
    with pytest.raises(ValueError, match=message):
        load_learned(model, read_card(folder))
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_weights())


@pytest.mark.parametrize("name", [LEARNED, ADAPTER])
def test_a_truncated_file_is_named(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    without_sums(folder)
    with pytest.raises(ValueError, match=f"{name}: cannot be read .* copy it again"):
        reopen(folder)


@pytest.mark.parametrize("name", [LEARNED, ADAPTER])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    without_sums(folder)
    with pytest.raises(ValueError, match=f"{name}: cannot be read"):
        reopen(folder)


def test_a_missing_adapter_is_named(folder):
    edit(folder / ADAPTER, lambda tensors: tensors.pop(sorted(tensors)[0]))
    with pytest.raises(ValueError, match="1 weights do not fit this model; .*lora_A.default.weight is missing there"):
        reopen(folder)


def test_a_base_whose_bytes_changed_is_refused(recipe, zoo, tmp_path):
    base = shutil.copytree(zoo / "llm", tmp_path / "llm")
    assembled = assemble(recipe(llm=str(base), heads={}))
    save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    edit(base / "model.safetensors", lambda tensors: tensors["model.norm.weight"].add_(1))
    with pytest.raises(ValueError, match="run was trained on .*llm with sha256 .*, found "):
        reopen(tmp_path / "run")


def test_a_base_that_is_gone_says_which(recipe, zoo, tmp_path):
    base = shutil.copytree(zoo / "llm", tmp_path / "llm")
    assembled = assemble(recipe(llm=str(base), heads={}))
    save(tmp_path / "run", assembled.model, assembled.config, assembled.processor.tokenizer)
    shutil.rmtree(base)
    with pytest.raises(FileNotFoundError, match="llm: no such folder; a run was trained on it"):
        reopen(tmp_path / "run")


@pytest.mark.parametrize("text", ["{", '{"model": {}}', '{"model": {"llm": "x", "colour": 3}}'])
def test_a_broken_card_is_refused(tmp_path, text):
    (tmp_path / CARD).write_text(text)
    with pytest.raises(ValueError, match=f"{CARD}: not a card of ullava"):
        read_card(tmp_path)


def test_peft_reads_the_adapters(trained, kept, zoo, world, batch):
    """The base with the grown vocabulary, and peft's own loading on top."""
    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(zoo / "llm")
    learned = {n.removeprefix("llm."): t for n, t in load_file(kept / LEARNED).items() if n.startswith("llm.")}
    base.resize_token_embeddings(len(learned["model.embed_tokens.weight"]), mean_resizing=False)
    base.load_state_dict(learned, strict=False)
    theirs, found = PeftModel.from_pretrained(base, kept).eval(), batch(world.chat())
    with torch.no_grad():
        expected = trained.model.eval().llm(found.input_ids).logits
        torch.testing.assert_close(theirs(found.input_ids).logits, expected, atol=1e-5, rtol=0)
        with theirs.disable_adapter():  # and they do say something
            assert (theirs(found.input_ids).logits - expected).abs().max() > 1e-4
