"""From a YAML's model section to a network: what is new, what comes from a parent, what is refused."""

import pytest
import torch

from ullava.models.assembly import assemble, blueprint, reopen
from ullava.models.folders.checkpoints import save


@pytest.fixture(scope="module")
def stage_one(recipe, tmp_path_factory):
    """The folder of a run without heads, and its network."""
    assembled = assemble(recipe(heads={}, projector="linear"), seed=5)
    with torch.no_grad():
        assembled.model.projector.weight.add_(1)
        assembled.model.llm.get_input_embeddings().weight.add_(1)
    folder = tmp_path_factory.mktemp("stage1")
    save(folder, assembled.model, assembled.config, assembled.processor.tokenizer)
    return folder, assembled.model


def test_stage_two_begins_where_stage_one_ended(recipe, stage_one):
    folder, parent = stage_one
    child = assemble(recipe(llm=str(folder), projector="linear", lora={}), seed=9)
    assert torch.equal(child.model.projector.weight, parent.projector.weight)
    before = parent.llm.get_input_embeddings().weight
    after = child.model.llm.get_input_embeddings().weight
    assert torch.equal(after[: len(before)], before)
    assert len(after) == len(before) + 6 == len(child.processor.tokenizer)  # [SEG] [LOC] [tag] [/tag] [KEY] [NEG]
    assert child.new_rows == tuple(range(len(before), len(before) + 6))


def test_a_child_knows_the_foundations_of_its_parent(recipe, stage_one, zoo):
    child = assemble(recipe(llm=str(stage_one[0]), vision=None, projector="linear"))
    assert child.config.llm == str(zoo / "llm")
    assert child.config.vision.tower == str(zoo / "clip")


def test_a_childs_folder_stands_on_the_foundations(recipe, stage_one, tmp_path):
    child = assemble(recipe(llm=str(stage_one[0]), projector="linear"))
    save(tmp_path, child.model, child.config, child.processor.tokenizer)
    opened = reopen(tmp_path).model
    assert all(torch.equal(p, q) for p, q in zip(opened.parameters(), child.model.parameters(), strict=True))


def test_new_weights_are_drawn_from_the_seed(recipe):
    one, same, other = (dict(assemble(recipe(), seed=seed).model.named_parameters()) for seed in (1, 1, 2))
    assert [name for name in one if not torch.equal(one[name], same[name])] == []
    drawn = {name for name in one if not torch.equal(one[name], other[name])}
    assert {"projector.0.weight", "heads.mask.project.0.weight", "llm.lm_head.weight"} <= drawn
    assert not any("mask_decoder" in name or "layers.0.self" in name for name in drawn)  # these are SAM's and the LLM's


def test_new_rows_begin_near_the_mean_of_the_old_ones(recipe):
    assembled = assemble(recipe())
    table = assembled.model.llm.get_input_embeddings().weight
    old, new = table[: min(assembled.new_rows)], table[list(assembled.new_rows)]
    apart = new - old.mean(0)
    assert float(apart.std()) == pytest.approx(0.1 * float(old.std()), rel=0.3)
    assert len({tuple(row) for row in new.tolist()}) == 6


def test_a_learned_head_that_is_not_named_is_an_error(recipe, tmp_path):
    assembled = assemble(recipe())
    save(tmp_path, assembled.model, assembled.config, assembled.processor.tokenizer)
    with pytest.raises(ValueError, match=r"model.heads: .* has learned the head\(s\) box, mask, which the YAML"):
        assemble(recipe(llm=str(tmp_path), heads={}))


def test_a_head_may_be_added_to_a_parent(recipe, zoo, tmp_path):
    parent = assemble(recipe(heads={"box": {"channels": 16}}), seed=3)
    save(tmp_path, parent.model, parent.config, parent.processor.tokenizer)
    child = assemble(recipe(llm=str(tmp_path)))
    mine, yours = child.model.heads["box"].state_dict(), parent.model.heads["box"].state_dict()
    assert all(torch.equal(mine[name], yours[name]) for name in yours)


def test_another_projector_than_the_parents_is_an_error(recipe, stage_one):
    with pytest.raises(ValueError, match="model.projector: .* has learned 'linear', the YAML names 'mlp2'"):
        assemble(recipe(llm=str(stage_one[0]), projector="mlp2"))


def test_other_adapters_than_the_parents_are_an_error(recipe, tmp_path):
    parent = assemble(recipe(lora={"rank": 2}))
    save(tmp_path, parent.model, parent.config, parent.processor.tokenizer)
    with pytest.raises(ValueError, match="model.lora: .* has other adapters; merge it first"):
        assemble(recipe(llm=str(tmp_path), lora={"rank": 4}))


def test_another_layer_or_spelling_than_the_parents_is_an_error(recipe, zoo, tmp_path):
    parent = assemble(recipe(tokens={"SEG": "<ins>"}, vision={"tower": str(zoo / "clip"), "layer": -2}))
    save(tmp_path, parent.model, parent.config, parent.processor.tokenizer)
    with pytest.raises(ValueError, match="model.vision.layer: .* learned to read layer -2, the YAML names -1; name"):
        assemble(recipe(llm=str(tmp_path), vision={"tower": str(zoo / "clip"), "layer": -1}))
    with pytest.raises(ValueError, match=r"model.tokens: .* learned another spelling of SEG: <ins>; drop it here"):
        assemble(recipe(llm=str(tmp_path), tokens={"SEG": "<seg>"}))


def test_what_a_child_sees_and_says_otherwise_is_said(recipe, zoo, tmp_path, caplog):
    parent = assemble(recipe(conversation="simple", vision={"tower": str(zoo / "clip"), "aspect": "crop"}))
    save(tmp_path, parent.model, parent.config, parent.processor.tokenizer)
    assemble(recipe(llm=str(tmp_path), conversation="plain", vision={"tower": str(zoo / "clip"), "frames": 4}))
    ours = [record for record in caplog.records if record.name == "ullava"]
    said = [record.getMessage().replace(str(tmp_path), "RUN") for record in ours]
    assert said == [
        "model.conversation: RUN was trained with simple, this run goes on with plain",
        "model.vision.aspect: RUN was trained with crop, this run goes on with pad",
        "model.vision.frames: RUN was trained with 8, this run goes on with 4",
    ]


def test_a_childs_tokens_are_spelt_as_its_parents(recipe, tmp_path):
    parent = assemble(recipe(tokens={"SEG": "<ins>"}))
    save(tmp_path, parent.model, parent.config, parent.processor.tokenizer)
    child = assemble(recipe(llm=str(tmp_path)))
    assert child.processor.spell("[SEG]") == "<ins>"
    assert len(child.processor.tokenizer) == len(parent.processor.tokenizer)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"llm": "no/such"}, FileNotFoundError, "model.llm: no/such: no such folder"),
        ({"vision": None}, ValueError, "model.vision: missing"),
        ({"heads": {"masks": {}}}, LookupError, "model.heads: no head 'masks'; did you mean 'mask'"),
        ({"heads": {"box": {"size": 3}}}, ValueError, "model.heads.box: .*'size'"),
        ({"heads": {"mask": {}}}, ValueError, "model.heads.mask: .*'sam'"),
        ({"projector": "linear", "conversation": "vicuna"}, LookupError, "no conversation 'vicuna'; did you mean"),
        ({"lora": {"targets": ["query"]}}, LookupError, "model.lora.targets: no linear layer 'query'"),
    ],
)
def test_what_a_yaml_gets_wrong_is_named(recipe, changes, error, message):
    with pytest.raises(error, match=message):
        assemble(recipe(**changes))


def test_a_foundation_from_scratch_is_not_the_published_one(recipe, still):
    drawn = assemble(recipe(from_scratch=["llm", "vision", "sam"])).model
    for mine, yours in (
        (drawn.llm.model.layers[0].mlp.up_proj, still.model.llm.model.layers[0].mlp.up_proj),
        (drawn.vision.module.encoder.layers[0].mlp.fc1, still.model.vision.module.encoder.layers[0].mlp.fc1),
        (drawn.heads["mask"].mask_decoder.mask_tokens, still.model.heads["mask"].mask_decoder.mask_tokens),
    ):
        assert not torch.equal(mine.weight, yours.weight)


def test_a_foundation_from_scratch_is_the_same_when_opened_again(recipe, tmp_path):
    drawn = assemble(recipe(from_scratch=["llm", "vision", "sam"]), seed=7)
    save(tmp_path, drawn.model, drawn.config, drawn.processor.tokenizer)
    opened = reopen(tmp_path).model
    weights = dict(opened.named_weights())
    assert [name for name, weight in drawn.model.named_weights() if not torch.equal(weights[name], weight)] == []
    for name, buffer in drawn.model.named_buffers():
        assert torch.equal(dict(opened.named_buffers())[name], buffer), name


def test_a_word_and_no_lone_space_stands_before_an_owner_token(still):
    tokenizer = still.processor.tokenizer
    ids = tokenizer("Sure. Mask: [SEG]; Location: [LOC]; [tag]circle[/tag].")["input_ids"]
    words = tokenizer.convert_ids_to_tokens(ids)
    assert words[words.index("[SEG]") - 1] == words[words.index("[LOC]") - 1] == ":"
    assert words[words.index("[tag]") - 1] == ";"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"heads": {}},
        {"lora": {"rank": 2}, "tokens": {"NEG": ""}, "projector": "linear"},
        {"vision": None, "lora": {}, "projector": "linear"},  # of a parent
    ],
)
def test_a_network_without_weights_has_the_shapes_of_the_real_one(recipe, stage_one, zoo, changes):
    given = {"llm": str(stage_one[0])} if "vision" in changes else {}
    config = recipe(**changes | given)
    if "heads" not in changes:
        keyed = config.heads["mask"] | {"fusion": {}}
        config = config.model_copy(update={"heads": config.heads | {"mask": keyed, "contrast": {"channels": 8}}})
    real = {name: (p.shape, p.requires_grad) for name, p in assemble(config).model.named_weights()}
    bare = dict(blueprint(config).named_weights())
    assert {name: (p.shape, p.requires_grad) for name, p in bare.items()} == real
    assert {p.device.type for p in bare.values()} == {"meta"}
