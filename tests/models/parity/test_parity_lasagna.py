"""LaSagnA (parity/lasagna/README.md): its <ins> is our [SEG], its <no_ins> our [NEG]; two questions of one picture."""

import pytest

pytestmark = pytest.mark.shared


def test_parity_lasagna(golden, tools):
    lasagna = golden("lasagna", "lasagna")
    found = tools["family"](lasagna) | tools["inferred"](lasagna, "refer.") | tools["family"](lasagna, "refer.")
    tools["compare"](found, lasagna.outputs, leave=r".*grad\..*")


def test_parity_lasagna_gradients(golden, tools):
    lasagna = golden("lasagna", "lasagna")
    lasagna.learn_all()
    lasagna.model(lasagna.collate(lasagna.rows())).total.backward()
    tools["family_gradients"](lasagna, "lasagna")
