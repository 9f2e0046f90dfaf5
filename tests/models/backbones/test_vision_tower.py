"""The tower that sees: which layer, which pictures are encoded, and what is kept."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionModel, SiglipConfig, SiglipModel, SiglipVisionModel

from ullava.datasets.images import View
from ullava.models.backbones.vision_tower import FeatureCache, open_vision


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (3, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def tower(zoo, layer=-2):
    return open_vision(str(zoo / "clip"), layer=layer, aspect="pad", from_scratch=False, dtype=torch.float32)


@pytest.mark.parametrize("layer", [-1, -2, -3, 1, 2, 3])
def test_a_layer_is_the_hidden_state_of_the_untouched_tower(zoo, pixels, layer):
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.25, 0.25, 0.25])  # as conftest writes them
    normal = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        untouched = CLIPVisionModel.from_pretrained(zoo / "clip")(normal, output_hidden_states=True)
    found = tower(zoo, layer).encode(pixels, "abc")
    assert found.shape == (3, 16, 32)
    torch.testing.assert_close(found, untouched.hidden_states[layer][:, 1:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", [-1, -2, 1, 3])
def test_a_layer_means_the_same_of_a_siglip(siglip, pixels, layer):
    pixels = pixels[:, :56, :56]
    with torch.no_grad():
        normal = (pixels / 255 - 0.5) / 0.5
        untouched = SiglipVisionModel.from_pretrained(siglip)
        seen = []  # what goes into the norm behind the last layer: transformers' own list may end with what comes out
        untouched.post_layernorm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        states = [*untouched(normal.permute(0, 3, 1, 2), output_hidden_states=True).hidden_states[:3], seen[0]]
    found = open_vision(siglip, layer=layer, aspect="pad", from_scratch=False, dtype=torch.float32)
    assert (found.patches, found.width, found.view) == (9, 32, View(56, "pad"))  # 56 // 16 = 3; no class token
    torch.testing.assert_close(found.encode(pixels, "abc"), states[layer], atol=1e-5, rtol=0)


def test_a_siglip_that_learns_uses_every_weight_it_has(siglip, pixels):
    found = open_vision(siglip, layer=-2, aspect="pad", from_scratch=True, dtype=torch.float32)
    found.learns = True
    found.module.requires_grad_(True)
    found.encode(pixels[:, :56, :56], "abc").sum().backward()
    assert all(parameter.grad is not None for parameter in found.module.parameters())


def test_the_pair_of_a_siglip_is_opened_by_its_eyes(tmp_path, siglip, pixels):
    """Published SigLIPs hold the tower that reads, too."""
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = SiglipConfig(
        text_config=small | {"vocab_size": 9, "projection_size": 32},
        vision_config=small | {"image_size": 56, "patch_size": 14},
    )
    whole = SiglipModel(config).eval()
    whole.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}')
    found = open_vision(str(tmp_path), layer=-1, aspect="pad", from_scratch=False, dtype=torch.float32)
    pixels, seen = pixels[:, :56, :56], []
    whole.vision_model.post_layernorm.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    whole.vision_model(((pixels / 255 - 0.5) / 0.5).permute(0, 3, 1, 2))
    torch.testing.assert_close(found.encode(pixels, "abc"), seen[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_pictures_go_in_as_by_transformers(zoo, siglip, kind):
    """A square, which both kinds only resize; of the processors those that need no torchvision."""
    module = pytest.importorskip(f"transformers.models.{kind}.image_processing_pil_{kind}")
    official = {"clip": "CLIPImageProcessorPil", "siglip": "SiglipImageProcessorPil"}[kind]
    folder, side = (zoo / "clip", 96) if kind == "clip" else (siglip, 56)
    mean, std = ([0.5, 0.4, 0.3], [0.25] * 3) if kind == "clip" else ([0.5] * 3, [0.5] * 3)
    sizes = (
        {"size": {"shortest_edge": 96}, "crop_size": 96} if kind == "clip" else {"size": {"height": 56, "width": 56}}
    )
    picture = np.random.default_rng(0).integers(0, 255, (70, 70, 3), np.uint8)
    expected = getattr(module, official)(image_mean=mean, image_std=std, **sizes)(Image.fromarray(picture))
    found = open_vision(str(folder), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)
    assert found.view.side == side
    normal = found.normalise(torch.from_numpy(found.view.apply(picture))[None])
    torch.testing.assert_close(normal[0], torch.as_tensor(np.asarray(expected["pixel_values"][0])), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", [-4, 0, 4])
def test_a_layer_that_is_not_there_is_refused(zoo, layer):
    with pytest.raises(ValueError, match=f"model.vision.layer: expected -3 to -1, found {layer}"):
        tower(zoo, layer)


def test_features_from_the_cache_are_the_same(zoo, pixels):
    found = tower(zoo)
    first = found.encode(pixels, "abc")
    assert torch.equal(found.encode(pixels[[2, 0]], "ca"), first[[2, 0]])
    torch.testing.assert_close(found.features(found.normalise(pixels)), first, atol=1e-6, rtol=0)


def test_pixels_of_one_key_are_encoded_once():
    seen = []

    def encode(pixels, numbers):
        seen.append((pixels.flatten().tolist(), numbers))
        return pixels * 10

    cache, pixels = FeatureCache(), torch.tensor([[1.0], [2.0], [1.0]])
    assert cache.encode(pixels, "aba", encode).flatten().tolist() == [10, 20, 10]
    ((values, numbers),) = seen
    assert sorted(zip(numbers, values, strict=True)) == [(0, 1.0), (1, 2.0)]
    assert cache.encode(torch.tensor([[2.0], [3.0]]), "bc", encode).flatten().tolist() == [20, 30]
    assert seen[1] == ([3.0], [1])


def test_a_cache_of_nothing_encodes_a_picture_once_and_keeps_none():
    seen = []

    def encode(pixels, numbers):
        seen.append(numbers)
        return pixels * 10

    cache = FeatureCache(capacity=0)
    assert cache.encode(torch.tensor([[1.0], [2.0], [1.0]]), "aba", encode).flatten().tolist() == [10, 20, 10]
    assert not cache.kept and sorted(seen[0]) == [0, 1]


@pytest.mark.parametrize("capacity, sizes", [(None, [1, 1, 1]), (2, [1, 1, 1]), (0, [2, 1])])
def test_a_picture_whose_features_are_kept_is_encoded_alone(zoo, pixels, capacity, sizes, monkeypatch):
    """A resumed run meets other company in the batch in which it first sees a picture; see `Tower.at_once`."""
    found, batches = tower(zoo), []
    found.at_once = 2
    found.remember(capacity)
    features = found.features
    monkeypatch.setattr(found, "features", lambda pixels, *more: batches.append(len(pixels)) or features(pixels, *more))
    together = found.encode(pixels, "abc")
    assert len(pixels) == 3 and batches == sizes
    if capacity is None:
        alone = tower(zoo)
        alone.remember(None)
        assert torch.equal(alone.encode(pixels[[2]], "c"), together[[2]])


@pytest.mark.parametrize("again", ["a", "b"])
def test_a_cache_holds_what_was_seen_last(again):
    cache = FeatureCache(capacity=2)

    def encode(pixels, numbers):
        return pixels

    cache.encode(torch.tensor([[1.0], [2.0]]), "ab", encode)
    cache.encode(torch.tensor([[1.0]]), again, encode)
    cache.encode(torch.tensor([[3.0]]), "c", encode)
    assert set(cache.kept) == {again, "c"}  # whichever of the two the cache met first


def test_a_batch_larger_than_the_cache_is_whole():
    cache = FeatureCache(capacity=1)
    pixels = torch.tensor([[1.0], [2.0], [3.0]])
    assert torch.equal(cache.encode(pixels, "abc", lambda some, _: some), pixels)
    assert len(cache.kept) == 1


def test_a_tower_that_learns_keeps_nothing_and_has_gradients(zoo, pixels):
    found = tower(zoo)
    found.learns = True
    found.module.requires_grad_(True)
    found.encode(pixels, "abc").sum().backward()
    assert not found.cache.kept
    assert all(layer.self_attn.q_proj.weight.grad is not None for layer in found.module.encoder.layers)


def test_a_folder_that_is_not_there_says_by_which_key(tmp_path):
    with pytest.raises(FileNotFoundError, match="model.vision.tower: .*preprocessor_config.json: no such file"):
        open_vision(str(tmp_path), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)


def test_a_folder_of_another_architecture_is_refused(zoo, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(
        ValueError, match="model.vision.tower: .* holds a 'bert', expected one of clip, clip_vision_model, siglip"
    ):
        open_vision(str(tmp_path), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)
