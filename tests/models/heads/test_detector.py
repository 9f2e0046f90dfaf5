"""The head that asks a GroundingDINO by a state instead of a word."""

import json
from dataclasses import replace

import pytest
import torch

from ullava.configs.tokens import LOC
from ullava.models.assembly import assemble
from ullava.models.batching.collator import Collator
from ullava.models.heads.detector import match
from ullava.models.stages import prepare
from ullava.models.tiny import tiny_detector, tiny_word_pieces


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> str:
    """A GroundingDINO with random weights, as transformers lays it out."""
    place = tmp_path_factory.mktemp("groundingdino")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = tiny_word_pieces(("red", "circle"))
        detector = tiny_detector(tokenizer, width=32)
        for parameter in detector.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        detector.save_pretrained(place)
    tokenizer.save_pretrained(place)
    settings = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"shortest_edge": 96, "longest_edge": 96}}
    (place / "preprocessor_config.json").write_text(json.dumps(settings))
    return str(place)


@pytest.fixture
def model(recipe, folder):
    """A network with all three heads."""
    heads = recipe().heads | {"detector": {"weights": folder}}
    return assemble(recipe(heads=heads))


@pytest.fixture
def collated(model):
    """Makes a batch of dialogues for that network."""
    collate = Collator(model.processor.tokenizer.pad_token_id, ["[SEG]", "[LOC]"])
    return lambda *dialogues: collate([model.processor(dialogue) for dialogue in dialogues])


def states(model, count: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(count, model.model.llm.config.hidden_size)


def test_the_detector_gives_a_number_per_promise_and_boxes_inside_the_picture(model, collated, world):
    batch = collated(world.segment(0), world.segment(1, (5, 40, 30, 60)))
    head = model.model.heads["detector"]
    found = head(states(model, 2), batch)
    losses = head.losses(found, batch)
    assert {name: tuple(some.shape) for name, some in losses.items()} == dict.fromkeys(head.losses_named, (2,))
    for (x0, y0, x1, y1), (height, width) in zip(head.results(found, batch), batch.promised[LOC].sizes, strict=True):
        assert 0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height


def test_the_detector_compares_boxes_as_fractions_of_their_picture(model, collated, world):
    batch = collated(world.segment(0, (20, 10, 50, 30)))  # of a picture of 60 x 80
    assert batch.promised[LOC].boxes.tolist()[0] == pytest.approx(
        [0.25, 1 / 6, 0.625, 0.5], abs=1e-5
    )


def test_the_detector_sees_a_picture_once_and_answers_each_promise_alone(model, collated, world):
    asked = ("Can you segment the red circle?", "Sure. Mask: [SEG]; Location: [LOC].")
    region = world.region(0)
    both = world.dialogue("two", [0], asked, asked, regions=(region, region, region, region))
    head, (first, second) = model.model.heads["detector"], states(model, 2)
    seen = []
    look = head.tower.features
    head.tower.features = lambda pixels, sizes: seen.append(len(pixels)) or look(pixels, sizes)
    with torch.no_grad():
        together = head(torch.stack([first, second]), collated(both)).found
        alone = head(second[None], collated(world.segment(0))).found
    assert seen == [1]
    torch.testing.assert_close(together.boxes[:, 1], alone.boxes[:, 0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(together.logits[:, 1], alone.logits[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("promises", [True, False])
def test_every_parameter_of_the_detector_is_used_with_and_without_promises(model, collated, world, promises):
    head = model.model.heads["detector"]
    for parameter in head.parameters():
        parameter.requires_grad_(True)
    batch = collated(world.segment(0) if promises else world.chat())
    found = head(states(model, int(promises)), batch)
    losses = head.losses(found, batch)
    assert all(len(some) == promises for some in losses.values())
    sum(some.sum() for some in losses.values()).backward()
    assert [name for name, parameter in head.named_parameters() if parameter.grad is None] == []


def test_the_detector_learns_where_a_state_belongs(model, collated, world):
    head = model.model.heads["detector"]
    batch = collated(world.segment(0), world.segment(1, (5, 40, 30, 60)))
    prepare(model.model, {"heads": 1e-3, "detector": 1e-3})
    learning = [parameter for parameter in head.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=2e-3)
    given, totals = states(model, 2), []
    for _ in range(40):
        losses = head.losses(head(given, batch), batch)
        total = 5 * losses["box_l1"].sum() + 2 * losses["box_giou"].sum() + losses["detector_focal"].sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0] / 2


def test_the_detector_is_frozen_but_for_what_learn_names(model):
    _, table = prepare(model.model, {"heads": 1e-3})
    frozen = {line.part: line.learning for line in table}
    assert frozen["detector"] == 0 and frozen["heads"] > 0
    names = [name for name, _ in model.model.named_parameters()]
    assert not [name for name in names if "conv_encoder" in name or "text_backbone" in name]  # the senses stay outside


def test_a_model_with_a_detector_is_saved_merged_and_opened_again(model, collated, world, tmp_path):
    from ullava.models.assembly import reopen
    from ullava.models.convert.merge import merge
    from ullava.models.folders.checkpoints import save

    for parameter in model.model.heads["detector"].parameters():
        parameter.data += 0.01
    run, whole = tmp_path / "run", tmp_path / "merged"
    save(run, model.model, model.config, model.processor.tokenizer)
    merge(str(run), str(whole))
    batch, given = collated(world.segment(0)), states(model, 1)
    with torch.no_grad():
        found = [some.model.heads["detector"](given, batch).found for some in (model, reopen(run), reopen(whole))]
    assert torch.equal(found[0].boxes, found[1].boxes) and torch.equal(found[0].boxes, found[2].boxes)


def test_two_heads_under_one_token_both_count(model, collated, world):
    """box_l1 and box_giou are sums over the box head and the detector, none takes the other's place."""
    batch = collated(world.segment(0))
    with torch.no_grad():
        both = model.model(batch).parts["box_l1"]
        model.model.heads.pop("detector")
        one = model.model(batch).parts["box_l1"]
    assert both > one


def test_a_detector_without_a_mask_head_frames_the_pictures_by_itself(recipe, folder, world):
    alone = assemble(recipe(heads={"box": {"channels": 16}, "detector": {"weights": folder}}))
    row = alone.processor(world.segment(0))
    assert alone.processor.framed == {LOC} and row.media[0].frame.shape == (96, 96, 3)


def test_the_best_query_is_the_one_that_is_near_and_sure():
    truth = torch.tensor([[0.2, 0.2, 0.4, 0.4]])
    boxes = torch.tensor([[[0.6, 0.6, 0.8, 0.8], [0.2, 0.2, 0.4, 0.4], [0.2, 0.2, 0.4, 0.4]]])
    assert match(torch.tensor([[5.0, -1.0, 1.0]]), boxes, truth).tolist() == [2]


def test_a_missing_detector_says_where_to_get_one(recipe):
    heads = recipe().heads | {"detector": {"weights": "nowhere/groundingdino_swint_ogc.pth"}}
    with pytest.raises(FileNotFoundError, match="model.heads.detector.weights: nowhere.*github.com/IDEA-Research"):
        assemble(recipe(heads=heads))


def test_padding_is_black_to_the_detector_as_to_the_reference(model, collated, world):
    """Zeros after normalisation, whatever lies there."""
    tower, batch = model.model.heads["detector"].tower, collated(world.segment(0))
    frames = batch.frames.clone()
    height = tower.view.resized(batch.frame_sizes[0])[0]
    assert height < frames.shape[1]
    frames[:, height:] = 255
    one, other = (tower.encode(some, [key], batch.frame_sizes) for key, some in (("a", batch.frames), ("b", frames)))
    assert torch.equal(one, other)
    assert replace(batch, frames=frames).frames is frames
