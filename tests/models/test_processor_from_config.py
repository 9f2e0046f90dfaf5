"""Without weights a row is what it is with them."""

import pytest

from ullava.models.assembly import assemble
from ullava.models.folders.checkpoints import save
from ullava.models.processor_from_config import processor_from_config, processor_from_folder


@pytest.mark.parametrize("changes", [{}, {"heads": {}}, {"tokens": {"SEG": "<ins>"}}])
def test_a_row_is_the_same_as_with_the_network(recipe, world, changes):
    config = recipe(**changes)
    ours, theirs = processor_from_config(config).__call__, assemble(config).processor
    dialogue = world.chat() if changes.get("heads") == {} else world.segment()
    one, two = ours(dialogue), theirs(dialogue)
    assert one.input_ids.tolist() == two.input_ids.tolist() and one.supervised.tolist() == two.supervised.tolist()
    assert [promise.column for promise in one.promises] == [promise.column for promise in two.promises]
    for a, b in zip(one.media, two.media, strict=True):
        assert (a.pixels == b.pixels).all() and (a.frame == b.frame).all()


def test_a_folder_says_what_its_rows_are(recipe, world, tmp_path):
    made = assemble(recipe())
    save(tmp_path / "run", made.model, made.config, made.processor.tokenizer, run={})
    one, two = processor_from_folder(tmp_path / "run")(world.segment()), made.processor(world.segment())
    assert one.input_ids.tolist() == two.input_ids.tolist()
    with pytest.raises(FileNotFoundError, match="no folder of a run"):
        processor_from_folder(tmp_path)
