"""LISA v1 (parity/lisa/README.md)."""

import pytest
import torch

pytestmark = pytest.mark.shared


def test_parity_lisa(golden, tools):
    lisa = golden("lisa", "lisa")
    found = tools["family"](lisa) | tools["inferred"](lisa)
    tools["compare"](found, lisa.outputs, leave=r".*grad\..*")


def test_parity_lisa_gradients(golden, tools):
    lisa = golden("lisa", "lisa")
    lisa.learn_all()
    lisa.model(lisa.collate(lisa.rows())).total.backward()
    tools["family_gradients"](lisa, "lisa")


@torch.no_grad()
def test_parity_lisa_pixels(golden, tools):
    tools["pixels"](golden("lisa", "lisa"), "images_clip", "images")
