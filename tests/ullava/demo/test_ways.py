"""Where a demo can run."""

import pytest

from ullava.demo import demo


def test_an_installed_package_says_that_a_demo_wants_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no train_ullava_core.py; .* clone the repository"):
        demo.demonstrate("demo", tmp_path / "out", quick=True)
    assert not (tmp_path / "out").exists()
