"""What a run opens before it loads a weight: the rows of its mixture, by portion or by rate."""

import json

import pytest
from PIL import Image

from ullava.configs.schema import RunConfig
from ullava.training.preflight import open_mixture


@pytest.fixture
def run(tmp_path):
    """Makes a run on three records; keywords change it."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    record = {"height": 8, "width": 8, "category": "cat", "bbox": [1, 1, 4, 4], "image_path": "a.png",
              "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "sentences": ["the cat"]}  # fmt: skip
    (tmp_path / "refs.json").write_text(json.dumps([record] * 3))
    own = {"reader": "ullava_referring", "annotations": str(tmp_path / "refs.json"), "images": str(tmp_path)}

    def make(*rows, **changes) -> RunConfig:
        data = [{"dataset": "toy", "task": "rec"} | row for row in rows]
        section = {"output_dir": "out", "model": {"llm": "llm"}, "learn": {}, "data": data, "datasets": {"toy": own}}
        return RunConfig.model_validate(section | changes)

    return make


def test_portions_are_passes(run):
    assert open_mixture(run({"portion": 2.0}, {})).size(0) == 9


def test_rates_fill_an_epoch(run):
    rows = [{"family": "a"}, {"family": "a"}, {"family": "b"}]
    mixture = open_mixture(run(*rows, sampling={"rates": [3, 1], "samples_per_epoch": 40}))
    drawn = [mixture.row_of(1, k) for k in range(mixture.size(1))]
    assert [drawn.count(row) for row in range(3)] == [15, 15, 10]
    assert mixture[1, 39].sample.id.startswith("toy/")


def test_rates_that_do_not_fit_are_refused(run):
    with pytest.raises(ValueError, match=r"sampling.rates: expected 2, one each for data\[0\], data\[1\]; found 3"):
        open_mixture(run({}, {}, sampling={"rates": [1, 2, 3], "samples_per_epoch": 9}))


def test_a_row_that_does_not_open_is_named(run):
    with pytest.raises(LookupError, match=r"data\[1\]: no task 'res_'; did you mean 'res'"):
        open_mixture(run({}, {"task": "res_"}))
