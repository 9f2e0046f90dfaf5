"""What a prompt takes from keywords, in every published form and in ours."""

import pytest
import torch
import torch.nn.functional as F

from ullava.models.heads.keyword_fusion import KeywordFusion, stretch

CHANNELS = 8


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fusion(**options) -> KeywordFusion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return KeywordFusion(CHANNELS, **options)


def attention(query, key, value):
    return torch.softmax(query @ key.T / query.shape[1] ** 0.5, -1) @ value


@torch.no_grad()
def test_its_last_published_form_is_two_attentions_and_nothing_else():
    module = fusion(residual=False, mlp=False, upsample=12, pairing="per_picture", width=6)
    prompts, keys = drawn(3, CHANNELS), drawn(2, CHANNELS, seed=2)
    long = F.interpolate(prompts.T[None], size=12, mode="linear")[0].T
    read = module.out_proj(attention(module.query_proj(long), module.key_proj(keys), module.value_proj(keys)))
    query, key, value = (module.self_attn[f"{name}_proj"](read) for name in "qkv")
    round_ = module.self_attn["out_proj"](attention(query, key, value))
    expected = F.interpolate(round_.T[None], size=3, mode="linear")[0].T
    torch.testing.assert_close(module(prompts[None], keys[None])[0], expected)


@torch.no_grad()
def test_its_main_runs_add_what_is_read_and_an_mlp():
    module = fusion(self_attention=False, upsample=12, pairing="per_picture")
    prompts, keys = drawn(2, CHANNELS), drawn(3, CHANNELS, seed=2)
    long = F.interpolate(prompts.T[None], size=12, mode="linear")[0].T
    fused = long + module.out_proj(attention(module.query_proj(long), module.key_proj(keys), module.value_proj(keys)))
    fused = fused + module.mlp(module.norm2(fused))
    expected = F.interpolate(fused.T[None], size=2, mode="linear")[0].T
    torch.testing.assert_close(module(prompts[None], keys[None])[0], expected)


@torch.no_grad()
def test_a_lone_keyword_silences_the_mask_in_the_published_form_only():
    keys = drawn(1, 1, CHANNELS)
    first, second = drawn(1, 1, CHANNELS, seed=2), drawn(1, 1, CHANNELS, seed=3)
    published = fusion(residual=False, mlp=False, upsample=12, pairing="per_picture")
    torch.testing.assert_close(published(first, keys), published(second, keys))
    ours = fusion()
    assert (ours(first, keys) - ours(second, keys)).abs().max() > 0.1


@pytest.mark.parametrize("steps", [{}, {"self_attention": False}, {"mlp": False}, {"residual": False}])
@torch.no_grad()
def test_a_prompt_of_ours_depends_on_both_and_on_nobody_else(steps):
    module, prompts, keys = fusion(**steps), drawn(3, 1, CHANNELS), drawn(3, 1, CHANNELS, seed=2)
    before = module(prompts, keys)
    for changed in (0, 1):
        pair = [prompts.clone(), keys.clone()]
        pair[changed][1] += 1
        moved = (module(*pair) - before).abs().amax((1, 2))
        assert moved[1] > 1e-5 and moved[0] == moved[2] == 0


@torch.no_grad()
def test_what_is_added_begins_small():
    prompts = drawn(5, 1, CHANNELS)
    found = fusion()(prompts, drawn(5, 1, CHANNELS, seed=2))
    assert 0 < (found - prompts).norm() < 0.2 * prompts.norm()


@pytest.mark.parametrize("pairing", ["per_query", "per_picture"])
def test_every_weight_has_a_gradient(pairing):
    module = fusion(pairing=pairing)
    prompts, keys = (drawn(2, 1, CHANNELS), drawn(2, 1, CHANNELS, seed=2))
    if pairing == "per_picture":
        prompts, keys = drawn(1, 3, CHANNELS), drawn(1, 2, CHANNELS, seed=2)
    (module(prompts, keys) * drawn(*prompts.shape, seed=4)).sum().backward()
    still = [name for name, weight in module.named_parameters() if weight.grad is None or not weight.grad.any()]
    silent = {"key_proj.bias", "self_attn.k_proj.bias"}  # softmax does not hear what all scores have in common
    assert set(still) <= (silent if pairing == "per_picture" else {"self_attn.k_proj.bias"})


@torch.no_grad()
def test_pictures_with_fewer_masks_and_keys_are_as_if_alone():
    """Groups are filled up: the second has two of three prompts, and two of three keys."""
    for options in ({"upsample": 12}, {"upsample": None}):
        module = fusion(pairing="per_picture", **options)
        prompts, keys = drawn(2, 3, CHANNELS), drawn(2, 3, CHANNELS, seed=2)
        counts, seen = torch.tensor([3, 2]), torch.tensor([[True, True, True], [True, False, True]])
        together = module(prompts, keys, counts=counts, seen=seen)
        torch.testing.assert_close(together[0], module(prompts[:1], keys[:1])[0])
        torch.testing.assert_close(together[1, :2], module(prompts[1:, :2], keys[1:, [0, 2]])[0])


@pytest.mark.parametrize(("length", "wanted"), [(1, 12), (2, 12), (5, 12), (12, 5), (14, 12), (12, 1), (3, 3)])
def test_stretching_is_pytorchs_own(length, wanted):
    states = drawn(1, length, CHANNELS)
    expected = F.interpolate(states.mT, size=wanted, mode="linear").mT
    found = stretch(states, torch.tensor([length]), torch.tensor([wanted]), wanted)
    torch.testing.assert_close(found, expected)


def test_copies_of_one_prompt_are_refused():
    with pytest.raises(ValueError, match="upsample: 12 copies of one prompt"):
        fusion(upsample=12)
