"""How many questions are asked at once moves no answer: the embedded world's foundations, asked by 1, 4 and 16."""

import numpy as np
import pytest

from ullava.configs.schema import EvaluationRow, GenerationConfig, ModelConfig
from ullava.datasets.tiny_world.world import draw_world
from ullava.evaluation.engine.predictions import read_predictions
from ullava.evaluation.evaluator import evaluate

ZOO = "models/zoo/tiny"
TASKS = {"res": "given", "rec": "generated", "vqa": "generated", "captioning": "generated"}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """By batch size: the rows, and the lines of predictions.jsonl."""
    from ullava.models.answering import open_answerer
    from ullava.models.assembly import assemble
    from ullava.models.folders.checkpoints import save

    place = tmp_path_factory.mktemp("batches")
    draw_world(place / "tiny_world", "tiny_test", 12, 0)
    heads = {"mask": {"sam": f"{ZOO}/sam"}, "box": {}}
    config = ModelConfig(llm=f"{ZOO}/llm", vision={"tower": f"{ZOO}/clip"}, projector="mlp2", heads=heads)
    assembled = assemble(config)
    save(place / "model", assembled.model, assembled.config, assembled.processor.tokenizer)
    rows = [EvaluationRow(dataset="tiny_test", task=task, answers=answers) for task, answers in TASKS.items()]
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULLAVA_DATA", str(place))
        for size in (1, 4, 16):
            answerer = open_answerer(str(place / "model"), GenerationConfig(batch_size=size, max_new_tokens=10))
            results = evaluate(rows, answerer, own={}, output=place / str(size), run={}, progress=False)
            found[size] = results["rows"], list(read_predictions(place / str(size) / "predictions.jsonl"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("size", [4, 16])
def test_answers_do_not_depend_on_the_batch(scored, size):
    (rows, lines), (others, other_lines) = scored[1], scored[size]
    same = [one["answer"] == other["answer"] for one, other in zip(lines, other_lines, strict=True)]
    assert np.mean(same) >= 0.995
    for row, other in zip(rows, others, strict=True):
        for name, value in row["metrics"].items():
            scale = 10 if name == "CIDEr-D" else 1
            assert other["metrics"][name] == pytest.approx(value, abs=0.002 * scale, nan_ok=True), name
