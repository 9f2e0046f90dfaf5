"""`ullava convert` and `ullava export`, as they are typed."""

import pytest
import torch

from ullava.commands import convert, export
from ullava.models.segmenters import sam_weights as sam
from ullava.models.tiny import tiny_sam


@pytest.fixture
def file(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = tiny_sam(patch=24, width=16, layers=2, channels=16)
    torch.save(sam.published(whole), tmp_path / "sam.pth")
    return str(tmp_path / "sam.pth")


def test_a_sam_goes_in_and_out(file, tmp_path, capsys):
    folder, back = str(tmp_path / "sam"), str(tmp_path / "back.pth")
    convert.main(["sam", file, folder, "--sam-heads", "4"])
    export.main(["sam", back, "--model", folder])
    assert capsys.readouterr().out.endswith(f"wrote {folder}\nwrote {back}\n")  # behind what deepspeed says
    one, two = (torch.load(path, weights_only=True) for path in (file, back))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_kinds_are_named_where_one_is_misspelt(file, tmp_path):
    with pytest.raises(LookupError, match="did you mean 'lisa'"):
        convert.main(["lissa", file, str(tmp_path / "x")])
    with pytest.raises(LookupError, match="ullava_v1"):
        export.main(["ulava_v1", file, str(tmp_path / "x")])


def test_a_projector_wants_what_it_stands_between(file, tmp_path):
    with pytest.raises(ValueError, match="--llm FOLDER and --vision FOLDER"):
        convert.main(["llava", file, str(tmp_path / "x")])


@pytest.mark.parametrize("places", [["a"], ["a", "b", "--model", "c"]])
def test_a_source_is_named_once(places, capsys):
    with pytest.raises(SystemExit):
        export.main(["sam", *places])
    assert "expected source and destination" in capsys.readouterr().err
