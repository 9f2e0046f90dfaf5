"""Tables of names, read in two directions."""

import pytest
import torch

from ullava.models.weights.table import Line, Table

TABLE = Table(
    [
        Line("blocks.{i}.norm{j}.{x}", "layers.{i}.layer_norm{j}.{x}"),
        Line("matrix", ("shared.matrix", "prompt.matrix")),
        Line("attn.in_{x}", ("q.{x}", "k.{x}", "v.{x}"), "rows"),
        Line("rest.{x}", "rest.{x}"),
    ],
    ignored=(r"buffer\..*",),
)


def test_fields_are_carried_over():
    assert TABLE.reads("blocks.11.norm2.weight") == ("layers.11.layer_norm2.weight",)
    assert TABLE.writes("layers.11.layer_norm2.weight") == "blocks.11.norm2.weight"
    assert TABLE.reads("rest.blocks.1.norm1.bias") == ("rest.blocks.1.norm1.bias",)


def test_rows_are_shared_out_and_copies_are_equal_there_and_back():
    theirs = {"attn.in_weight": torch.arange(12.0).view(6, 2), "matrix": torch.ones(2), "rest.a": torch.zeros(1)}
    ours, unknown = TABLE.read(theirs | {"buffer.ids": torch.zeros(3), "blocks.x": torch.zeros(3)})
    assert unknown == ["blocks.x"]
    assert ours["k.weight"].tolist() == [[4, 5], [6, 7]]  # rows 2 and 3 of 6
    assert sorted(ours) == ["k.weight", "prompt.matrix", "q.weight", "rest.a", "shared.matrix", "v.weight"]
    back = TABLE.write(ours)
    assert sorted(back) == sorted(theirs) and all(torch.equal(back[name], theirs[name]) for name in theirs)


def test_copies_that_differ_and_parts_that_are_lost_are_told():
    with pytest.raises(ValueError, match="matrix: is one tensor there"):
        TABLE.write({"shared.matrix": torch.ones(2), "prompt.matrix": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"k\.weight missing"):
        TABLE.write({"q.weight": torch.ones(2), "v.weight": torch.ones(2)})
    with pytest.raises(LookupError, match="no place for other"):
        TABLE.write({"other": torch.ones(2)})


def test_a_table_inside_another_model():
    inside = TABLE.under("model.sam.", "sam.")
    assert inside.reads("model.sam.blocks.0.norm1.bias") == ("sam.layers.0.layer_norm1.bias",)
    assert inside.reads("model.sam.buffer.x") == ()
    with pytest.raises(LookupError, match="blocks.0.norm1.bias"):
        inside.reads("blocks.0.norm1.bias")
