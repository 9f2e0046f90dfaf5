"""The tower that sees: which layer, which pictures are encoded, and what is kept."""

import pytest
import torch
from transformers import CLIPVisionModel

from ullava.models.vision import FeatureCache, open_vision


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


def test_a_cache_holds_what_was_seen_last():
    cache = FeatureCache(capacity=2)

    def encode(pixels, numbers):
        return pixels

    cache.encode(torch.tensor([[1.0], [2.0]]), "ab", encode)
    cache.encode(torch.tensor([[1.0]]), "a", encode)
    cache.encode(torch.tensor([[3.0]]), "c", encode)
    assert set(cache.kept) == {"a", "c"}


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
    with pytest.raises(ValueError, match="model.vision.tower: .* holds a 'bert', expected 'clip_vision_model'"):
        open_vision(str(tmp_path), layer=-2, aspect="pad", from_scratch=False, dtype=torch.float32)
