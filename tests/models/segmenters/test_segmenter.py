"""The segmenter's contract: a head asks nothing else of it, and one from elsewhere is a class of its own."""

import pytest
import torch
from torch import nn

from ullava.datasets.images import View
from ullava.models.assembly import assemble
from ullava.models.backbones.vision_tower import Tower
from ullava.models.batching.collator import Collator
from ullava.models.segmenters.base import SEGMENTERS, Decoded, Segmenter, invert


class Plain(Segmenter):
    """Masks are what a prompt has in common with a grid of mean colours; it has no opinion of them."""

    prompt_width = 3

    def __init__(self, view: View):
        super().__init__()
        self.tower = Means(nn.Conv2d(3, 3, 1), view, [0.5] * 3, [0.5] * 3, "")
        self.mask_decoder = nn.Linear(3, 3)

    @classmethod
    def open(cls, weights, *, key, from_scratch, dtype):
        return cls(cls.frame(weights))

    @classmethod
    def frame(cls, weights):
        return View(24, "corner", (0, 0, 0))

    def decode(self, maps, prompts):
        return Decoded(torch.einsum("qkc,qchw->qkhw", self.mask_decoder(prompts[:, :, 0]), maps[0]))

    def blank(self):
        return (torch.zeros(1, 3, 12, 12),)

    def activation_bytes(self, itemsize):
        return 144 * itemsize


class Means(Tower):
    def features(self, pixels, sizes):
        return nn.functional.avg_pool2d(pixels, 2)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(SEGMENTERS, "plain", Plain)


def test_a_segmenter_from_elsewhere_is_one_class(registered, recipe, world):
    heads = {"mask": {"segmenter": "plain", "weights": str(world.folder / "0.png")}}
    assembled = assemble(recipe(heads=heads))
    row = assembled.processor(world.segment(0))
    assert row.media[0].frame.shape == (24, 24, 3)
    batch = Collator(assembled.processor.tokenizer.pad_token_id, assembled.model.tokens)([row])
    assembled.model(batch).total.backward()
    head = assembled.model.heads["mask"]
    assert {name for name, _ in head.named_parameters()} >= {"mask_decoder.weight", "project.0.weight"}
    assert head.mask_decoder.weight.grad.abs().sum() > 0
    predicted = head(torch.zeros(1, 32), batch)
    assert head.scores(predicted) == [] and head.results(predicted, batch)[0].shape == (60, 80)


def test_sam_may_be_named_as_any_segmenter(recipe, zoo, still):
    named = assemble(recipe(heads={"mask": {"segmenter": "sam", "weights": str(zoo / "sam")}, "box": {"channels": 16}}))
    mine, yours = (dict(some.model.named_weights()) for some in (named, still))
    assert mine.keys() == yours.keys() and all(torch.equal(mine[name], yours[name]) for name in mine)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"segmenter": "sma", "weights": "x"}, LookupError, "no segmenter 'sma'; did you mean 'sam'"),
        ({"segmenter": "sam"}, ValueError, "model.heads.mask: option 'sam' is missing, or 'segmenter' and 'weights'"),
        ({"sam": "x", "weights": "y"}, ValueError, "model.heads.mask: `sam` names a SAM's weights by itself"),
        ({"segmenter": "sam", "weights": "no/where"}, FileNotFoundError, "model.heads.mask.weights: no/where"),
    ],
)
def test_a_segmenter_that_is_not_there_is_named(recipe, options, error, message):
    with pytest.raises(error, match=message):
        assemble(recipe(heads={"mask": options}))


@pytest.mark.parametrize(("aspect", "top"), [("corner", 0), ("pad", 4)])
def test_masks_come_back_from_where_the_view_laid_them(aspect, top):
    """A picture of 8 x 16 in a square of 16 lies at the top, or with four rows above it."""
    square = torch.full((1, 16, 16), -1.0)
    square[:, top : top + 8] = torch.arange(16.0)
    (mask,) = invert(square, View(16, aspect), [(8, 16)])
    assert torch.equal(mask, torch.arange(16.0).expand(8, 16))
