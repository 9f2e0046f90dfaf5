"""LLaVA's projector files beside a language model and a CLIP."""

import pytest
import torch
from safetensors.torch import load_file

from ullava.models.assembly import reopen
from ullava.models.convert.folder import convert
from ullava.models.convert.projector import convert_projector


@pytest.fixture
def base(publish, clip, tmp_path) -> str:
    """A language model's folder."""
    return str(convert("llava", publish("llava"), tmp_path / "llava", vision=clip) / "llm")


def projector():
    rng = torch.Generator().manual_seed(1)
    return {"model.mm_projector.weight": torch.randn(16, 8, generator=rng), "model.mm_projector.bias": torch.ones(16)}


def test_a_projector_is_put_between_them(base, clip, tmp_path):
    torch.save(projector(), tmp_path / "mm_projector.bin")
    found = reopen(convert_projector(tmp_path / "mm_projector.bin", tmp_path / "ours", llm=base, vision=clip))
    assert torch.equal(found.model.projector.weight, projector()["model.mm_projector.weight"])
    held = load_file(f"{base}/model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(found.model.llm.get_input_embeddings().weight, held)


def test_tuned_rows_of_the_marks_come_along(base, clip, tmp_path):
    rows = torch.full((2, 16), 3.0)
    torch.save(projector() | {"model.embed_tokens.weight": rows}, tmp_path / "mm_projector.bin")
    found = reopen(convert_projector(tmp_path / "mm_projector.bin", tmp_path / "ours", llm=base, vision=clip))
    assert torch.equal(found.model.llm.get_input_embeddings().weight[-2:], rows)


@pytest.mark.parametrize("change", [{"model.mm_projector.weight": torch.ones(16, 9)}, {"model.other": torch.ones(1)}])
def test_a_projector_of_another_model_is_refused(base, clip, tmp_path, change):
    torch.save(projector() | change, tmp_path / "mm_projector.bin")
    with pytest.raises(ValueError, match=next(iter(change))):
        convert_projector(tmp_path / "mm_projector.bin", tmp_path / "ours", llm=base, vision=clip)
    assert not (tmp_path / "ours").exists()
