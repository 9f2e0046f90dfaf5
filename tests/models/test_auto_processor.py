"""`AutoProcessor` opens our folders: pictures and text in, a batch out, on which the model generates."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, ProcessorMixin

import ullava.auto  # noqa: F401, registers
from ullava.models.auto_processor import UllavaProcessor
from ullava.models.backbones.tower_batch import batch_of_pixels
from ullava.models.batching.collator import Collator

QUESTION = "Can you segment the red circle?"


@pytest.fixture(scope="module")
def processor(run_folder) -> UllavaProcessor:
    return AutoProcessor.from_pretrained(run_folder)


def test_it_is_one_of_transformers_and_reads_no_weights(processor, run_folder, tmp_path):
    assert isinstance(processor, UllavaProcessor) and isinstance(processor, ProcessorMixin)
    assert "UllavaProcessor(" in repr(processor)
    for path in run_folder.iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), UllavaProcessor)


def test_its_batch_is_what_the_model_is_asked_with(processor, model, world):
    batch = processor(images=world.folder / "0.png", text=QUESTION, return_tensors="pt")
    example = model.answerer.processor(world.dialogue("ask", [0], (QUESTION, "")), answered=False)
    expected = Collator(model.answerer.processor.tokenizer.pad_token_id, left=True)([example])
    assert set(batch) == {"input_ids", "attention_mask", "pixel_values"}
    assert torch.equal(batch["input_ids"], expected.input_ids)
    assert torch.equal(batch["pixel_values"], expected.pictures.pixels)
    side = processor.writer.view.side
    assert batch["pixel_values"].shape == (1, side, side, 3) and batch["pixel_values"].dtype == torch.uint8


def test_many_texts_are_padded_at_the_left(processor, world):
    pictures = [Image.open(world.folder / "0.png"), None, np.asarray(Image.open(world.folder / "1.png"))]
    batch = processor(images=pictures, text=[QUESTION, "What is here?", "Where is it?"], return_tensors="pt")
    assert batch["pixel_values"].shape[0] == 2
    lengths = batch["attention_mask"].sum(1)
    assert batch["input_ids"].shape == (3, lengths.max()) and (lengths < lengths.max()).any()
    assert all((row.diff() >= 0).all() for row in batch["attention_mask"])  # zeros, then ones


def test_lists_and_arrays_come_where_nobody_asks_for_tensors(processor, world):
    texts, picture = [QUESTION, "What?"], world.folder / "0.png"
    ragged = processor(images=picture, text=texts, padding=False)
    assert [type(row) for row in ragged["input_ids"]] == [list, list]
    tensors = processor(images=picture, text=texts, return_tensors="pt")
    kept = [
        ids[mask.bool()].tolist() for ids, mask in zip(tensors["input_ids"], tensors["attention_mask"], strict=True)
    ]
    assert ragged["input_ids"] == kept
    arrays = processor(images=picture, text=texts, return_tensors="np")
    np.testing.assert_array_equal(arrays["pixel_values"], tensors["pixel_values"].numpy())
    with pytest.raises(ValueError, match="rows of several lengths are no tensor; take padding=True"):
        processor(images=picture, text=texts, padding=False, return_tensors="pt")


def test_the_model_generates_what_it_answers(processor, model, world):
    pictures, questions = [world.folder / "0.png", world.folder / "1.png"], [QUESTION, "Where is it?"]
    batch = processor(images=pictures, text=questions, return_tensors="pt")
    ids = model.generate(**batch, max_new_tokens=8, do_sample=False)
    prompt = batch["input_ids"].shape[1]
    assert torch.equal(ids[:, :prompt], batch["input_ids"])
    replies = model.ask(questions, pictures, max_new_tokens=8)
    assert [model.answerer.text(row) for row in ids[:, prompt:].tolist()] == [reply.text for reply in replies]
    assert len({reply.text for reply in replies}) == 2


def test_forward_sees_the_picture(processor, model, world):
    batches = [processor(images=world.folder / f"{n}.png", text="Where is it?", return_tensors="pt") for n in (0, 1)]
    assert torch.equal(batches[0]["input_ids"], batches[1]["input_ids"])
    with torch.no_grad():
        logits = [model(**batch, labels=batch["input_ids"]).logits for batch in batches]
    assert logits[0].shape[:2] == batches[0]["input_ids"].shape
    assert not torch.allclose(logits[0][:, -1], logits[1][:, -1])


def test_a_conversation_and_marks_are_written(processor, world):
    both = [world.folder / "0.png", world.folder / "1.png"]
    marked = processor(images=both, text="Is <image> like <image>?", return_tensors="pt")
    assert marked["pixel_values"].shape[0] == 2
    behind = processor(images=both[0], text="Where?", turns=[("What is here?", "Nothing else.")], return_tensors="pt")
    assert "Nothing else." in processor.decode(behind["input_ids"][0])


def test_ids_and_pixels_have_to_belong_together(processor, model, world):
    batch = processor(images=world.folder / "0.png", text=QUESTION, return_tensors="pt")
    with pytest.raises(ValueError, match=r"input_ids: expected \d+ patch tokens for 2 media of the kind <image>"):
        model.generate(input_ids=batch["input_ids"], pixel_values=batch["pixel_values"].repeat(2, 1, 1, 1))
    with pytest.raises(ValueError, match=r"pixel_values: expected \(N, \d+, \d+, 3\) uint8, found .* torch.float32"):
        model(batch["input_ids"], pixel_values=batch["pixel_values"].float())
    with pytest.raises(ValueError, match="pixel_values: expected input_ids that say where the pictures stand"):
        model.generate(pixel_values=batch["pixel_values"])


def test_what_nobody_would_obey_is_refused(run_folder):
    with pytest.raises(TypeError, match="no argument size; there is max_length"):
        AutoProcessor.from_pretrained(run_folder, size=224)


def test_every_patch_gets_the_features_of_its_place(processor, model, world):
    asked = [world.dialogue(f"ask{n}", [n], (question, "")) for n, question in ((0, QUESTION), (1, "Where is it?"))]
    writer = model.answerer.processor
    examples = [writer(dialogue, answered=False) for dialogue in asked]
    expected = Collator(writer.tokenizer.pad_token_id, left=True)(examples)
    pixels = expected.pictures.pixels
    batch = batch_of_pixels(writer, expected.input_ids, pixels, None)
    assert torch.equal(batch.pictures.rows, expected.pictures.rows)
    assert torch.equal(batch.pictures.columns, expected.pictures.columns)
    with torch.no_grad():
        backbone = model.network.backbone
        torch.testing.assert_close(backbone.encode(batch).embeds, backbone.encode(expected).embeds)
