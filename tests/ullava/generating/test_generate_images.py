"""Painting pictures: what a plan comes to; every picture follows from its own line, and a stopped run goes on."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from ullava.configs.load import build
from ullava.datasets.readers.regions.part_folders import PartFolders
from ullava.generating.__main__ import main
from ullava.generating.plan import PlanConfig, jobs
from ullava.generating.renders import find_renders

PARTS = {"handle": ["mug", "frying pan"], "lid": ["pot"]}


class Pipeline:
    """Stands for diffusers' pipelines, with their call: what it paints shows its noise, prompt and render."""

    opened = []
    stops = None  # pictures after which it breaks down

    @classmethod
    def from_pretrained(cls, folder, **options):
        cls.opened.append((folder, options))
        return cls()

    def __init__(self):
        self.scheduler = SimpleNamespace(config={})

    def to(self, device, dtype):
        return self

    def set_progress_bar_config(self, *, disable):
        pass

    def __call__(
        self, prompt, negative_prompt, num_inference_steps, guidance_scale, height, width, generator, output_type,
        image=None, controlnet_conditioning_scale=None,
    ):  # fmt: skip
        if Pipeline.stops is not None:
            Pipeline.stops -= len(prompt)
            if Pipeline.stops < 0:
                raise RuntimeError("the machine went away")
        images = []
        for n, (words, noise) in enumerate(zip(prompt, generator, strict=True)):
            pixels = torch.randint(0, 200, (height, width, 3), generator=noise, dtype=torch.uint8).numpy()
            pixels[0, 0] = len(words)
            if image is not None:
                pixels[1:] = np.asarray(image[n])[1:]
            images.append(Image.fromarray(pixels))
        refused = ["pot" in words for words in prompt] if Pipeline.checks else None
        return SimpleNamespace(images=images, nsfw_content_detected=refused)


@pytest.fixture
def diffusers(monkeypatch):
    """A diffusers of stubs; returns what has been opened."""
    Pipeline.opened, Pipeline.stops, Pipeline.checks = [], None, False
    scheduler = SimpleNamespace(set_timesteps=None, from_config=lambda config: SimpleNamespace(config=config))
    module = SimpleNamespace(
        StableDiffusionPipeline=Pipeline, StableDiffusionControlNetPipeline=Pipeline, ControlNetModel=Pipeline,
        DDIMScheduler=scheduler,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "diffusers", module)
    return Pipeline


@pytest.fixture
def plan(tmp_path):
    """Writes a plan, and returns its path."""
    (tmp_path / "model").mkdir()

    def write(**changes):
        tree = {"output": str(tmp_path / "out"), "model": str(tmp_path / "model"), "parts": PARTS, "count": 2,
                "size": [4, 6], "batch_size": 4} | changes  # fmt: skip
        path = tmp_path / "plan.yaml"
        path.write_text(json.dumps(tree))
        return str(path)

    return write


def config(**changes):
    return build(PlanConfig, {"output": "out", "model": "model", "parts": PARTS, "count": 3} | changes, "plan")


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_a_plan_names_every_picture_and_its_seed():
    found = list(jobs(config()))
    assert [job.file for job in found][2:5] == [
        "handle/mug/000002.png", "handle/frying_pan/000000.png", "handle/frying_pan/000001.png",
    ]  # fmt: skip
    assert found[3].prompt == "a photo of a frying pan with a clearly visible handle"
    seeds = [job.seed for job in found]
    assert len(set(seeds)) == 9 and all(0 <= seed < 2**63 for seed in seeds)
    assert [job.seed for job in jobs(config(parts={"lid": ["pot"]}))] == seeds[6:]  # whatever else is in the plan
    assert not {job.seed for job in jobs(config(seed=1))} & set(seeds)


def test_prompts_take_turns_and_wrong_slots_are_refused():
    found = [job.prompt for job in jobs(config(prompts=["{part}", "{object}"]))]
    assert found[:4] == ["handle", "mug", "handle", "handle"]
    with pytest.raises(ValueError, match="no other slots than {object} and {part}, found 'a {color} {part}'"):
        config(prompts=["a {color} {part}"])
    with pytest.raises(ValueError, match="expected words, found 'on/off switch'"):
        config(parts={"on/off switch": ["lamp"]})


def test_what_is_painted_is_read_as_parts(diffusers, plan, tmp_path, capsys):
    main([plan()])
    assert "6 pictures, 6 of them this process's: 0 were there, 6 painted" in capsys.readouterr().out
    reader = PartFolders("sd", tmp_path / "out")
    assert [sample.regions[0].category for sample in reader][::2] == [
        "handle of the frying pan", "handle of the mug", "lid of the pot",
    ]  # fmt: skip
    (line, *_) = map(json.loads, (tmp_path / "out/manifest.jsonl").read_text().splitlines())
    assert line["prompt"] == "a photo of a mug with a clearly visible handle" and line["steps"] == 50
    (opened,) = diffusers.opened
    assert opened[1]["local_files_only"] is True and opened[1]["safety_checker"] is None


def test_a_picture_is_the_same_in_any_batch_share_and_after_a_stop(diffusers, plan, tmp_path):
    main([plan()])
    whole = files(tmp_path / "out")
    for rank in (1, 0):
        main([plan(output=str(tmp_path / "shared"), batch_size=1), "--rank", str(rank), "--world", "2"])
    assert files(tmp_path / "shared") == whole
    diffusers.stops = 5
    with pytest.raises(RuntimeError):
        main([plan(output=str(tmp_path / "stopped"), batch_size=2)])
    assert len(files(tmp_path / "stopped")) == 4
    diffusers.stops = None
    main([plan(output=str(tmp_path / "stopped"), batch_size=2)])
    assert files(tmp_path / "stopped") == whole


def test_ranks_share_the_pictures_of_torchrun(diffusers, plan, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    main([plan()])
    assert list(files(tmp_path / "out")) == ["handle/frying_pan/000000.png", "lid/pot/000001.png"]  # the 3rd and 6th


def test_what_is_painted_is_not_painted_again_and_not_otherwise(diffusers, plan, tmp_path, capsys):
    main([plan()])
    diffusers.stops = 0
    main([plan()])
    assert "6 were there, 0 painted" in capsys.readouterr().out
    with pytest.raises(FileExistsError, match="painted with another steps, guidance"):
        main([plan(), "steps=20", "guidance=5"])
    (tmp_path / "out/lid/pot/000000.png").unlink()
    diffusers.stops = None
    main([plan()])
    assert len(files(tmp_path / "out")) == 6


def test_a_dry_run_opens_nothing(diffusers, plan, tmp_path, capsys):
    main([plan(), "--dry_run"])
    said = capsys.readouterr().out
    assert "6 pictures, 6 of them left" in said and "handle: 2 objects" in said and "frying pan" in said
    assert not diffusers.opened and not (tmp_path / "out").exists()


def test_what_the_safety_checker_refuses_is_noted_and_not_written(diffusers, plan, tmp_path, capsys):
    diffusers.checks = True
    main([plan(safety_checker=True)])
    assert "4 painted, 2 refused" in capsys.readouterr().out
    assert not list((tmp_path / "out").glob("lid/**/*.png"))
    main([plan(safety_checker=True)])
    assert "6 were there, 0 painted" in capsys.readouterr().out


@pytest.fixture
def renders(tmp_path):
    folder = tmp_path / "renders"
    folder.mkdir()
    for stem in ("mug_handle_left", "mug_handle_top", "frying_pan_handle_left", "pot_lid_0", "pot_lid_0_mask"):
        pixels = np.full((8, 12, 3), 90, np.uint8)
        if stem.endswith("_mask"):
            pixels[:, :6], pixels[:, 6:] = 255, 0
        Image.fromarray(pixels).save(folder / f"{stem}.png")
    return folder


def test_renders_give_pictures_their_shape_and_mask(diffusers, plan, renders, tmp_path):
    main([plan(control={"model": str(tmp_path / "model"), "renders": str(renders)}, count=1)])
    assert [sample.id for sample in PartFolders("sd", tmp_path / "out")] == [
        "sd/handle/frying_pan/left_000000", "sd/handle/mug/left_000000", "sd/handle/mug/top_000000",
        "sd/lid/pot/0_000000",
    ]  # fmt: skip
    (sample,) = PartFolders("sd", tmp_path / "out", masked=True)
    np.testing.assert_array_equal(sample.regions[0].mask.draw(), np.tile(np.arange(6) < 3, (4, 1)))
    with Image.open(tmp_path / "out/lid/pot/0_000000.png") as painted:
        assert np.asarray(painted)[1:, :3].tolist() == np.full((3, 3, 3), 90).tolist()


def test_the_longest_name_of_a_render_is_meant(renders):
    Image.new("RGB", (2, 2)).save(renders / "pot_lid_big_1.png")
    found = find_renders(renders, [("lid", "pot"), ("lid big", "pot"), ("handle", "mug"), ("handle", "frying pan")])
    assert [render.view for render in found["lid big", "pot"]] == ["1"] and len(found["lid", "pot"]) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("spoon_left", "spoon_left.png: expected <object>_<part>"), ("mug_handle_back_mask", "a mask without its render")],
)
def test_renders_of_nothing_are_named(renders, name, message):
    Image.new("RGB", (2, 2)).save(renders / f"{name}.png")
    with pytest.raises(ValueError, match=message):
        find_renders(renders, [("handle", "mug"), ("handle", "frying pan"), ("lid", "pot")])


def test_a_part_without_render_is_missed(renders):
    (renders / "frying_pan_handle_left.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 3 parts have no render; expected e.g. kettle_handle_<view>.png"):
        find_renders(renders, [("handle", "mug"), ("lid", "pot"), ("handle", "kettle")])


def test_wrong_names_say_what_there_is(diffusers, plan, tmp_path, monkeypatch):
    with pytest.raises(LookupError, match="no scheduler 'DDIM'"):
        main([plan(scheduler="DDIM")])
    with pytest.raises(FileNotFoundError, match="nothing is fetched here"):
        main([plan(model=str(tmp_path / "elsewhere"))])
    with pytest.raises(ValueError, match="--rank"):
        main([plan(), "--rank", "2", "--world", "2"])
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install 'ullava\[diffusion\]'"):
        main([plan()])


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("diffusers"), reason="needs the extra `diffusion`")
@pytest.mark.parametrize("controlled", [False, True], ids=["text", "control"])
def test_a_real_pipeline_of_random_weights_paints(plan, renders, tmp_path, controlled):
    random_pipeline(tmp_path / "random")
    control = {"model": str(tmp_path / "random/controlnet"), "renders": str(renders)} if controlled else None
    common = {"model": str(tmp_path / "random"), "size": [16, 16], "steps": 2, "control": control, "count": 1}
    main([plan(**common, scheduler="DDIMScheduler", dtype="fp32"), "--device", "cpu"])
    main([plan(**common, output=str(tmp_path / "again"), batch_size=1, scheduler="DDIMScheduler"), "--device", "cpu"])
    first, again = (
        [np.asarray(Image.open(path), int) for path in sorted((tmp_path / name).rglob("*.png"))]
        for name in ("out", "again")
    )
    assert len(first) == (5 if controlled else 3) and first[0].shape == (16, 16, 3)
    assert first[0].std() > 0
    for one, other in zip(first, again, strict=True):  # a batch of one and of four round apart
        assert np.abs(one - other).max() <= 1


def random_pipeline(folder):
    """Stable Diffusion in every part, as small as diffusers allows."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = {piece: n for n, piece in enumerate(["<|startoftext|>", "<|endoftext|>", *letters,
                                                  *(f"{letter}</w>" for letter in letters)])}  # fmt: skip
    (folder / "words").mkdir(parents=True)
    (folder / "words/vocab.json").write_text(json.dumps(pieces))
    (folder / "words/merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "words/vocab.json"), str(folder / "words/merges.txt"), model_max_length=77)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(pieces), hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
            bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    blocks = {"block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 32, "attention_head_dim": 8}
    unet = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **blocks,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 64), latent_channels=4, down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    scheduler = diffusers.PNDMScheduler(skip_prk_steps=True, steps_offset=1)
    diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32)).save_pretrained(
        folder / "controlnet"
    )
