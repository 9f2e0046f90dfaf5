"""The network as a whole: rows do not know each other, pictures stand where they belong, and it learns."""

import pytest
import torch

from ullava.datasets import videos
from ullava.datasets.structures import Dialogue, Sample, Turn, Video
from ullava.models.batching.collator import Collator
from ullava.models.stages import prepare

EVERYTHING = ("projector", "embeddings", "lm_head", "llm", "mask_decoder", "heads")


@pytest.fixture
def dialogues(world):
    pair = world.dialogue(
        "pair", [0, 2], ("Where is it?", "[SEG], [SEG]."),
        regions=(world.region(2, (1, 2, 30, 40), place=1), world.region(0)),
    )  # fmt: skip
    return [world.segment(0), world.chat(), world.segment(1, (5, 5, 40, 60)), pair]


def gradients(model) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def test_four_rows_are_twice_two_with_the_counts_of_all(fresh, dialogues, batch):
    model = fresh().model
    prepare(model, dict.fromkeys(EVERYTHING, 1e-3))
    whole = model(batch(*dialogues))
    whole.total.backward()
    expected = gradients(model)
    counts = batch(*dialogues).counts
    parts = [model(batch(*dialogues[n : n + 2]), counts) for n in (0, 2)]
    for part in parts:
        part.total.backward()
    for name, value in whole.parts.items():
        torch.testing.assert_close(sum(part.parts[name] for part in parts), value, atol=1e-5, rtol=0)
    torch.testing.assert_close(sum(part.total for part in parts), whole.total, atol=1e-5, rtol=0)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4, msg=name)


def test_losses_are_means_over_tokens_and_promises(still, dialogues, batch):
    """The counts of one row are its own: twice a row costs what the row costs."""
    once, twice = (still.model(batch(*[dialogues[0]] * n)).parts for n in (1, 2))
    assert set(once) == {"lm", "mask_bce", "mask_dice", "box_l1", "box_giou"}
    for name, value in once.items():
        torch.testing.assert_close(twice[name], value, atol=1e-5, rtol=0)


def test_the_total_is_weighted(still, dialogues, batch):
    with torch.no_grad():
        losses = still.model(batch(*dialogues))
    weights = {"lm": 1.0, "mask_bce": 2.0, "mask_dice": 0.5, "box_l1": 1.0, "box_giou": 1.0}  # u-LLaVA's
    assert float(losses.total) == pytest.approx(sum(w * float(losses.parts[name]) for name, w in weights.items()))


def test_the_language_loss_is_the_language_models_own(still, world, batch):
    """Text only, so that its own forward can be asked."""
    found = batch(world.chat())
    labels = torch.full_like(found.input_ids, -100)
    labels[found.target_rows, found.target_columns + 1] = found.target_ids
    with torch.no_grad():
        expected = still.model.llm(input_ids=found.input_ids, labels=labels).loss
        assert float(still.model(found).parts["lm"]) == pytest.approx(float(expected), abs=1e-5)


def test_features_stand_exactly_at_their_patches(still, dialogues, batch):
    model, found = still.model, batch(*dialogues)
    with torch.no_grad():
        embeds, words = model.backbone.embed(found), model.llm.get_input_embeddings()(found.input_ids)
        (features,) = model.backbone.media_tokens([found.pictures])
    patch = found.input_ids == still.processor.tokenizer.convert_tokens_to_ids("<image_patch>")
    assert torch.equal(embeds[~patch], words[~patch])
    assert torch.equal(embeds[patch], features.flatten(0, 1))


def test_a_video_is_its_frames_means_then_its_patches_means(still, monkeypatch):
    rng = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (8, 96, 96, 3), dtype=torch.uint8, generator=rng)
    monkeypatch.setattr(videos, "read_frames", lambda video, count, **_: frames.numpy())
    dialogue = Dialogue("toy/f", Sample("toy/f", (Video("f.mp4"),)), (Turn("What is here?", "Nothing else."),))
    found = Collator(0)([still.processor(dialogue)])
    with torch.no_grad():
        ((seen,),) = still.model.backbone.media_tokens([found.videos])
        each = still.model.vision.encode(frames, [str(n) for n in range(8)])  # (8, 16, 32)
        expected = still.model.projector(torch.cat([each.mean(1), each.mean(0)]))
        embeds = still.model.backbone.embed(found)
    torch.testing.assert_close(seen, expected)
    at = found.input_ids == still.processor.tokenizer.convert_tokens_to_ids("<video_patch>")
    torch.testing.assert_close(embeds[at], expected)


def test_text_only_gives_every_parameter_a_gradient(fresh, world, batch):
    model = fresh().model
    _, table = prepare(model, dict.fromkeys(EVERYTHING, 1e-3))
    model(batch(world.chat())).total.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    unused = [p for p in (*model.projector.parameters(), *model.heads.parameters()) if p.requires_grad]
    assert not any(p.grad.any() for p in unused)


def test_towers_that_learn_have_gradients_without_a_picture(fresh, world, batch):
    """Another rank may have one, and waits for this one's share."""
    model = fresh().model
    for part in ("vision", "sam_encoder"):
        model.let_learn(part)
    prepare(model, {"vision": 1e-3, "sam_encoder": 1e-3})
    model(batch(world.chat())).total.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_pictures_of_other_rows_change_nothing(still, dialogues, batch):
    with torch.no_grad():
        alone = still.model(batch(dialogues[0]), {"lm": 1, "mask": 1, "box": 1}).parts
        chat = still.model(batch(dialogues[1]), {"lm": 1, "mask": 1, "box": 1}).parts
        both = still.model(batch(dialogues[0], dialogues[1]), {"lm": 1, "mask": 1, "box": 1}).parts
    for name, value in both.items():
        torch.testing.assert_close(value, alone[name] + chat[name], atol=1e-4, rtol=1e-5)


def test_one_batch_is_learned(fresh, dialogues, batch):
    model = fresh(lora={"rank": 4, "dropout": 0.0}).model
    parts = ("lora", "embeddings", "lm_head", "projector", "mask_decoder", "heads")
    groups, _ = prepare(model, dict.fromkeys(parts, 1e-2))
    optimizer, found, history = torch.optim.AdamW(groups), batch(*dialogues[:3]), []
    for _ in range(40):
        losses = model(found)
        history.append({name: float(value.detach()) for name, value in losses.parts.items()})
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, first in history[0].items():
        assert history[-1][name] < 0.6 * first, name
