"""The bar of long work on weights: on stderr, so that a command's own words can be piped."""

import pytest
import torch
from safetensors.torch import save_file

from ullava.models.weights.files import open_weights
from ullava.models.weights.progress import progress


def test_items_pass_as_they_are_and_stdout_stays_clean(capsys):
    assert list(progress({"a": 1, "b": 2}.items(), "copying")) == [("a", 1), ("b", 2)]
    captured = capsys.readouterr()
    assert captured.out == "" and "copying" in captured.err and "2 [" in captured.err


def test_shards_are_counted_while_they_are_opened(tmp_path, capsys):
    names = [f"model-{number}.safetensors" for number in (1, 2, 3)]
    for name in names:
        save_file({name: torch.zeros(1)}, tmp_path / name)
    places = ", ".join(f'"{name}": "{name}"' for name in names)
    (tmp_path / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{places}}}}}')
    assert sorted(open_weights(tmp_path)) == names
    assert f"opening {tmp_path.name}" in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 1])
def test_few_files_are_no_special_case(count, capsys):
    assert len(list(progress([None] * count, "merging"))) == count
