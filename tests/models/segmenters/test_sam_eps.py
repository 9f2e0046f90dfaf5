"""The decoder's LayerNorm where config.json says nothing, as published folders of SAM do (transformers means 1e-6)."""

import json
import shutil

import pytest
import torch
from transformers import SamModel

from ullava.models.segmenters.sam import open_sam

PUBLISHED_EPS = 1e-5  # torch's default, by which segment-anything's decoder was trained (modeling/transformer.py)


@pytest.fixture(params=["unsaid", "transformers' default"])
def published(request, zoo, tmp_path) -> str:
    """The tiny SAM with a config.json as facebook/sam-vit-huge has it: no eps of its own, or transformers' default."""
    folder = tmp_path / "sam"
    shutil.copytree(zoo / "sam", folder)
    config = json.loads((folder / "config.json").read_text())
    del config["mask_decoder_config"]["layer_norm_eps"]
    if request.param != "unsaid":
        config["mask_decoder_config"]["layer_norm_eps"] = 1e-6
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def norms(sam: SamModel) -> list[float]:
    modules = sam.mask_decoder.transformer.modules()
    return [module.eps for module in modules if isinstance(module, torch.nn.LayerNorm)]


def logits(sam: SamModel) -> torch.Tensor:
    """Of a mask, in double precision, so that nothing but eps can tell two decoders apart."""
    draw = torch.Generator().manual_seed(0)
    features = 1e-3 * torch.randn(1, 32, 8, 8, generator=draw, dtype=torch.float64)
    prompts = torch.randn(1, 1, 1, 32, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        return sam.eval().mask_decoder.double()(
            image_embeddings=features, image_positional_embeddings=torch.zeros_like(features),
            sparse_prompt_embeddings=prompts, dense_prompt_embeddings=torch.zeros_like(features),
            multimask_output=False,
        )[0]  # fmt: skip


def test_a_published_folder_norms_as_it_was_trained(published, zoo):
    plain = SamModel.from_pretrained(published)
    assert 1e-6 in norms(plain)  # the folder is as published: by the library alone its blocks norm otherwise
    opened = open_sam(published, from_scratch=False, dtype=torch.float32)[0]
    assert set(norms(opened)) == {PUBLISHED_EPS}
    right = logits(SamModel.from_pretrained(zoo / "sam"))  # whose config.json says 1e-5
    torch.testing.assert_close(logits(opened), right, atol=1e-12, rtol=0)
    assert (logits(plain) - right).abs().max() > 1e-6
