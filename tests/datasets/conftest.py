"""Fixtures of the datasets' tests: a cache of their own, pictures drawn by hand, and the real samples."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shared import SHARED

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ULLAVA_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def realdata() -> Path:
    """Folder of the real samples; skips where it is absent."""
    folder = SHARED / "realdata"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.fixture
def write(tmp_path):
    """Writes a file below the test's folder: JSON, text, or a picture from an array; returns its path."""

    def to(name: str, content) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            Image.fromarray(content).save(path)
        elif isinstance(content, str):
            path.write_text(content)
        elif path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(record) + "\n" for record in content))
        else:
            path.write_text(json.dumps(content))
        return path

    return to


@pytest.fixture
def drawn():
    """Turns rows of `.` and `#` into (H, W) bool."""
    return lambda rows: np.array([[cell == "#" for cell in row] for row in rows.split()])


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """Five scenes of the embedded world."""
    from ullava.datasets.tiny_world.world import draw_world

    return draw_world(tmp_path_factory.mktemp("drawn"), "tiny_train", 5, workers=1)


@pytest.fixture
def data_root(tmp_path, monkeypatch) -> Path:
    """An empty data root."""
    monkeypatch.setenv("ULLAVA_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"
