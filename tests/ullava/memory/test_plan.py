"""The memory of a stage: what is counted equals what is there, what is shared out is shared, advice is followed."""

import pytest

from ullava.__main__ import dispatch
from ullava.configs.load import CONFIGS, ConfigError, load
from ullava.configs.schema import RunConfig
from ullava.configs.yaml12 import read_yaml
from ullava.memory.memory import Cluster, estimate_memory, outline, total, weigh
from ullava.memory.plan import advice, plan, with_way

LORA = CONFIGS / "train" / "ullava_stage2_lora.yaml"


@pytest.fixture(scope="module")
def seven():
    """LLaMA-7B with LoRA, and its recipe with one row a GPU."""
    config = load(LORA, RunConfig, ["training.batch_size=1"])
    return outline(config, "7b")[0], config


RECIPES = [path for path in sorted(CONFIGS.rglob("*.yaml")) if {"learn", "data"} <= read_yaml(path).keys()]


def parts(seven, way, gpus, **training):
    network, config = seven
    return estimate_memory(network, with_way(config, way, **training), Cluster(gpus, 80))


def test_weights_are_the_published_ones(seven):
    """6,738,415,616 of LLaMA-7B, adapters of rank 8 at 64 matrices, and rows of 13 tokens in two tables."""
    added = 32 * 2 * 8 * (4096 + 4096) + 2 * 13 * 4096
    assert weigh(seven[0].llm) == 6_738_415_616 + added
    tower = seven[0].towers["sam_encoder"].module
    assert weigh(tower) == pytest.approx(637e6, rel=0.01)  # SAM, arXiv:2304.02643: 636M with its light ends


def test_what_is_frozen_takes_two_bytes_and_what_learns_sixteen(seven):
    network = seven[0]
    learned = sum(p.numel() for p in network.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in network.llm.parameters() if not p.requires_grad)
    alone = parts(seven, None, 1)
    assert alone["frozen language model"] == 2 * frozen
    assert alone["what learns, float32"] + alone["gradients"] + alone["Adam's moments"] == 16 * learned


def test_each_stage_shares_out_more(seven):
    one, two, three = (parts(seven, way, 4) for way in (None, "zero2", "zero3"))
    for name in ("gradients", "Adam's moments"):
        assert two[name] == three[name] == one[name] / 4
    assert two["frozen language model"] == one["frozen language model"] == 4 * three["frozen language model"]
    assert one["tower: sam_encoder"] == three["tower: sam_encoder"]  # whole on every rank
    offloaded = parts(seven, "zero2_offload", 4)
    assert "gradients" not in offloaded and offloaded["host"] == 4 * one["Adam's moments"] / 8


def test_checkpointing_and_smaller_batches_save_activations(seven):
    name = "language model's activations"
    much, less = (parts(seven, None, 1, batch_size=8, gradient_checkpointing=on)[name] for on in (False, True))
    assert less < much / 8
    assert much == 8 * parts(seven, None, 1, batch_size=1, gradient_checkpointing=False)[name]


@pytest.mark.parametrize(("gpus", "size"), [("4x24", "7b"), ("4x24", "13b"), ("2x40", "7b")])
def test_advice_makes_it_fit_with_the_same_batch(gpus, size):
    config = load(LORA, RunConfig, [])
    *_, said = plan(config, gpus, size=size)
    keys = said.partition("change ")[2].split()
    assert keys
    changed = load(LORA, RunConfig, keys)
    assert changed.training.batch_size * changed.training.accumulate == 32
    *_, said = plan(changed, gpus, size=size)
    assert "fits" in said


@pytest.mark.parametrize(
    ("own", "change"),
    [
        # One GPU has nobody to share with: ZeRO-2 only adds its own copy of what learns.
        ([], "training.deepspeed=null"),
        (["training.deepspeed=null", "training.gradient_checkpointing=false"], "training.gradient_checkpointing=true"),
        (["training.deepspeed=null", "training.batch_size=2"], "training.batch_size=1 training.accumulate=2"),
        (["training.deepspeed=null"], "training.deepspeed=zero2_offload"),
    ],
)
def test_advice_writes_values_as_a_yaml_reads_them(seven, own, change):
    """Each change is the only one of a key that helps, on a GPU that has just the memory it leads to."""
    network, _ = seven
    config = load(LORA, RunConfig, ["training.batch_size=1", "training.accumulate=1", *own])
    fitting = load(LORA, RunConfig, ["training.batch_size=1", "training.accumulate=1", *own, *change.split()])
    least = total(estimate_memory(network, fitting, Cluster(1, 80), 3))
    said = advice(network, config, Cluster(1, least), 3)
    assert said.partition("; change ")[2] == change


def test_the_command_says_what_is_missing_and_what_is_wrong(seven, capsys):
    dispatch(["plan", str(LORA), "--gpus", "8x80", "--size", "7b"])
    said = capsys.readouterr().out
    assert "| GiB on each GPU | none | zero2 | zero2_offload | zero3 |" in said and "fits" in said
    with pytest.raises(FileNotFoundError, match="no config.json there; give --size 7b or 13b"):
        dispatch(["plan", str(LORA)])
    with pytest.raises(ConfigError, match="expected COUNTxGIB, e.g. 4x24, found '24'"):
        dispatch(["plan", str(LORA), "--gpus", "24", "--size", "7b"])


def test_folders_that_are_here_need_no_size(recipe):
    tree = {"output_dir": "x", "model": recipe().model_dump(), "learn": {"heads": 1e-3, "vision": 1e-3}}
    config = RunConfig.model_validate(tree | {"data": [{"dataset": "a", "task": "vqa"}]})
    network, table = outline(config)
    assert {line.part for line in table if line.learning} == {"heads", "vision"}
    found = estimate_memory(network, config, Cluster(1, 1, cpu=True))
    assert "tower: vision" not in found and total(found) < 1


def test_a_deepspeed_file_with_an_engines_precision_is_refused(tmp_path):
    from ullava.training.distributed import read_deepspeed

    path = tmp_path / "mine.json"
    path.write_text('{"bf16": {"enabled": true}}')
    config = load(LORA, RunConfig, [f"training.deepspeed={path}"])
    with pytest.raises(ConfigError, match="mine.json: delete 'bf16', training.precision says it"):
        read_deepspeed(config.training)
    config = load(LORA, RunConfig, ["training.deepspeed=zero5"])
    with pytest.raises(ConfigError, match="training.deepspeed: zero5: no such file; "):
        read_deepspeed(config.training)


def test_deepspeed_that_is_not_installed_is_named(monkeypatch):
    from ullava.training import distributed as spread

    monkeypatch.setattr(spread, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"zero2 needs deepspeed: pip install 'ullava\[train\]'"):
        spread.read_deepspeed(load(LORA, RunConfig, []).training)


def test_what_hears_keywords_counts_among_the_heads(recipe, zoo):
    def learning(heads) -> int:
        model = recipe(heads=heads).model_dump(mode="json")
        config = {"output_dir": "x", "model": model, "learn": {"heads": 1e-3}}
        config = RunConfig.model_validate(config | {"data": [{"dataset": "a", "task": "res"}]})
        return next(part.learning for part in outline(config)[1] if part.part == "heads")

    mask = {"sam": str(zoo / "sam")}
    # 32 channels. Cross- and self-attention: 8 x (32 x 32 + 32); MLP: 2 x 32 x 64 + 64 + 32; norms: 2 x 64;
    # the projection of words: 32 x 32 + 32.
    assert learning({"mask": mask | {"fusion": {}}}) - learning({"mask": mask}) == 8448 + 4192 + 128 + 1056


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_shipped_training_has_a_plan(path):
    *table, _, advice = plan(load(path, RunConfig, []), "8x80", size="7b")
    assert advice.startswith("as it is") and "nothing makes it fit" not in advice
    assert any(line.startswith("| **sum** |") for line in table)


def test_the_detector_takes_memory_too(recipe):
    """GroundingDINO with Swin-T: 172 M, of which BERT-base has 110 M, and its projection to 256 channels 0.2 M."""
    tree = {"output_dir": "x", "model": recipe(heads={"detector": {"weights": "not/here"}}).model_dump()}
    tree |= {"learn": {"heads": 1e-3, "detector": 1e-3}, "data": [{"dataset": "a", "task": "rec"}]}
    network, table = outline(RunConfig.model_validate(tree), "7b")
    backbone = weigh(network.towers["detector_backbone"].module)
    finder = next(line.learning for line in table if line.part == "detector")
    assert backbone == pytest.approx(27.5e6, rel=0.02)  # Swin-T without its classifier, arXiv:2103.14030
    assert backbone + finder == pytest.approx(172e6 - 110e6, rel=0.05)
    # 1333 pixels: 166, 83, 41 and 20 places a side; six layers of them and six of 900 queries; 256 channels.
    blocks = 6 * (166**2 + 83**2 + 41**2 + 20**2) + 6 * 900
    assert network.heads["detector"].activation_bytes(2) == 4 * 12 * 256 * blocks
