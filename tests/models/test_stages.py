"""What learns: every parameter has one owner, what is not named stays as it is, bit for bit."""

import pytest
import torch

from ullava.models.stages import PARTS, part_of, prepare

WHOLE = ("embeddings", "lm_head", "llm", "projector", "iou_head", "mask_decoder", "heads")


def steps(model, found, groups, count: int = 2) -> dict[str, torch.Tensor]:
    """Trains a little; returns the weights of before."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    for _ in range(count):
        model(found).total.backward()
        optimizer.step()
        optimizer.zero_grad()
    return before


def test_the_table_counts_what_learns(fresh):
    model = fresh().model
    _, table = prepare(model, {"projector": 1e-3, "heads": 2e-3})
    lines = {line.part: line for line in table}
    projector = 32 * 32 + 32 + 32 * 32 + 32  # two layers, 32 wide on both sides
    # heads: the mask's MLP 32-32-32, the box's 32-32-16 and 16-16-8-4
    heads = 2 * (32 * 32 + 32) + (32 * 32 + 32 + 32 * 16 + 16) + (16 * 16 + 16 + 16 * 8 + 8 + 8 * 4 + 4)
    assert (lines["projector"].rate, lines["projector"].learning, lines["projector"].frozen) == (1e-3, projector, 0)
    assert (lines["heads"].rate, lines["heads"].learning, lines["heads"].frozen) == (2e-3, heads, 0)
    assert all(line.learning == line.rate == 0 for part, line in lines.items() if part not in ("projector", "heads"))
    assert sum(line.learning + line.frozen for line in table) == sum(p.numel() for p in model.parameters())
    assert tuple(lines) == tuple(part for part in PARTS if part in lines)


def test_every_parameter_is_owned_once(fresh):
    model = fresh(lora={"rank": 2}).model
    model.let_learn("vision")
    model.let_learn("sam_encoder")
    groups, table = prepare(model, dict.fromkeys((*WHOLE, "lora", "vision", "unread", "sam_encoder"), 1e-3))
    owned = [id(p) for group in groups for p in group["params"]]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(p) for p in model.parameters()}
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("llm.model.embed_tokens.weight", "embeddings"),
        ("llm.lm_head.weight", "lm_head"),
        ("llm.model.layers.0.self_attn.q_proj.base_layer.weight", "llm"),
        ("llm.model.layers.0.self_attn.q_proj.lora_A.default.weight", "lora"),
        ("projector.0.weight", "projector"),
        ("heads.mask.project.0.weight", "heads"),
        ("heads.mask.mask_decoder.mask_tokens.weight", "mask_decoder"),
        ("heads.mask.mask_decoder.iou_prediction_head.proj_in.weight", "iou_head"),
        ("vision_module.encoder.layers.0.mlp.fc1.weight", "vision"),
        ("sam_encoder.patch_embed.projection.weight", "sam_encoder"),
    ],
)
def test_names_have_the_part_they_look_like(name, part):
    assert part_of(name) == part


def test_a_parameter_without_a_part_is_an_error():
    with pytest.raises(LookupError, match="'adapter.weight' belongs to no part"):
        part_of("adapter.weight")


def test_a_part_without_parameters_is_an_error(fresh):
    with pytest.raises(LookupError, match="learn.lora: this model has no such parameters; .*there are: .*projector"):
        prepare(fresh().model, {"lora": 1e-3})


def test_an_unknown_part_names_the_nearest(fresh):
    with pytest.raises(LookupError, match="learn.projektor: .* did you mean 'projector'"):
        prepare(fresh().model, {"projektor": 1e-3})


def test_what_is_named_moves_and_the_rest_is_bit_identical(fresh, world, batch):
    model = fresh(lora={"rank": 2, "dropout": 0.0}).model
    groups, _ = prepare(model, dict.fromkeys(("lora", "lm_head", "projector", "mask_decoder", "heads"), 1e-3))
    before = steps(model, batch(world.segment(0), world.segment(1)), groups)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {part_of(name) for name in moved} == {"lora", "lm_head", "projector", "mask_decoder", "heads"}
    assert {name for name, p in model.named_parameters() if not p.requires_grad}.isdisjoint(moved)


def test_only_chosen_rows_of_the_embeddings_move(fresh, world, batch):
    built = fresh()
    groups, table = prepare(built.model, {"embeddings": 1e-2}, rows=built.new_rows)
    (line,) = [line for line in table if line.learning]
    assert (line.part, line.learning) == ("embeddings", 6 * 32)  # [SEG] [LOC] [tag] [/tag] [KEY] [NEG], 32 wide
    before = steps(built.model, batch(world.segment(0)), groups, count=3)
    table = built.model.llm.get_input_embeddings().weight
    moved = (table != before["llm.model.embed_tokens.weight"]).any(1).nonzero().flatten().tolist()
    said = built.processor.tokenizer.convert_tokens_to_ids(["[SEG]", "[LOC]"])  # the others are not in this text
    assert moved == sorted(said)
