"""What a published GroundingDINO may lack or have too much of, and the folders that have to lie beside it."""

import pytest
import torch
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

from ullava.commands.convert import main as convert
from ullava.models.detectors import grounding_dino_weights as groundingdino
from ullava.models.detectors.opening import MEAN, STD, open_detector
from ullava.models.tiny import tiny_word_pieces

BIAS = "backbone.0.layers.1.blocks.0.attn.relative_position_bias_table"
HEAD = "bbox_embed.0.layers.0.weight"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Folder of a text encoder: its configuration and its tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = tiny_word_pieces(("red", "ring"))
    tokenizer.save_pretrained(folder)
    BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def weights(text) -> dict[str, torch.Tensor]:
    return drawn(text)


def drawn(text, **sizes) -> dict[str, torch.Tensor]:
    """A GroundingDINO of another size than any published one, by its published names."""
    swin = SwinConfig(embed_dim=4, depths=[1, 2, 1], num_heads=[1, 2, 2], window_size=3, out_indices=[2, 3])
    config = GroundingDinoConfig(
        backbone_config=swin, text_config=BertConfig.from_pretrained(text), d_model=32, num_queries=7,
        num_feature_levels=3, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=16, decoder_ffn_dim=24,
        encoder_attention_heads=2, decoder_attention_heads=2, **sizes,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = GroundingDinoForObjectDetection(config)
        for parameter in detector.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return {name: tensor.clone() for name, tensor in groundingdino.published(detector).items()}


def keep(folder, weights):
    path = folder / "groundingdino.pth"
    torch.save({"model": {f"module.{name}": tensor for name, tensor in weights.items()}}, path)
    return path


def test_sizes_follow_from_the_shapes_and_the_round_trip_is_bit_identical(tmp_path, weights, text):
    opened = open_detector(keep(tmp_path, weights), text)
    config = opened.detector.config
    assert (config.d_model, config.num_queries, config.encoder_attention_heads) == (32, 7, 2)
    assert config.backbone_config.depths == [1, 2, 1] and config.backbone_config.window_size == 3
    assert (opened.shortest, opened.longest) == (800, 1333)
    again = groundingdino.published(opened.detector)
    assert set(again) == set(weights) and all(torch.equal(again[name], weights[name]) for name in weights)


def test_encoder_and_decoder_may_sample_different_numbers_of_points(tmp_path, text):
    path = keep(tmp_path, drawn(text, decoder_n_points=3))  # 2 heads: 2 x 4 = 8 and 2 x 3 = 6; 6 is not n x 4
    config = open_detector(path, text).detector.config
    assert (config.encoder_n_points, config.decoder_n_points, config.decoder_attention_heads) == (4, 3, 2)


def test_a_file_that_fits_several_numbers_of_heads_asks_for_it(tmp_path, text):
    path = keep(tmp_path, drawn(text, decoder_n_points=2))  # 8 and 4: two heads of 4 and 2 points, or one of 8 and 4
    with pytest.raises(ValueError, match="8 in its encoder, 4 in its decoder.*several.*attention_heads"):
        open_detector(path, text)
    config = open_detector(path, text, attention_heads=2).detector.config
    assert (config.encoder_n_points, config.decoder_n_points, config.decoder_attention_heads) == (4, 2, 2)


def test_a_converted_folder_is_the_same_detector_and_needs_no_other(tmp_path, weights, text):
    path, folder = keep(tmp_path, weights), tmp_path / "folder"
    published = open_detector(path, text)
    convert(["groundingdino", str(path), str(folder), "--text", str(text)])
    again = open_detector(folder)
    assert (again.mean, again.std, again.shortest, again.longest) == (MEAN, STD, 800, 1333)
    ours, theirs = (opened.detector.state_dict() for opened in (again, published))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.detector.model.special_tokens.equal(published.detector.model.special_tokens)


@pytest.mark.parametrize(
    "harm, message",
    [
        (lambda w: w | {"bbox_embed.0.layers.9.weight": w[HEAD]}, "bbox_embed.0.layers.9.weight is unknown"),
        (lambda w: {n: t for n, t in w.items() if n != HEAD}, f"{HEAD} is missing"),
        (lambda w: w | {HEAD: w[HEAD][:5]}, rf"{HEAD} has shape \(5, 32\), expected \(32, 32\)"),
        (lambda w: w | {f"transformer.decoder.{HEAD}": w[HEAD] + 1}, f"transformer.decoder.{HEAD} differs from {HEAD}"),
        (lambda w: {n: t for n, t in w.items() if not n.startswith("transformer.level")}, "no checkpoint of Grounding"),
        (lambda w: {n: t for n, t in w.items() if n != BIAS}, f"{BIAS} is missing"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_not_loaded(tmp_path, weights, text, harm, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_detector(keep(tmp_path, harm(weights)), text)
    assert "nothing was loaded" in str(caught.value)


def test_a_file_that_is_cut_off_says_so(tmp_path, weights, text):
    path = keep(tmp_path, weights)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="groundingdino.pth: cannot be read"):
        open_detector(path, text)


def test_a_published_file_needs_its_text_encoders_folder(tmp_path, weights):
    path = keep(tmp_path, weights)
    with pytest.raises(FileNotFoundError, match="no text encoder's configuration.*bert-base-uncased"):
        open_detector(path)
    with pytest.raises(FileNotFoundError, match="nowhere: holds no config.json.*bert-base-uncased"):
        open_detector(path, "nowhere")


def test_a_tokenizer_without_stops_is_refused(tmp_path, weights, text, zoo):
    folder = tmp_path / "text"
    folder.mkdir()
    (folder / "config.json").write_text((text / "config.json").read_text())
    for file in (zoo / "llm").glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"tokenizer does not know \[CLS\]"):
        open_detector(keep(tmp_path, weights), folder)


def test_another_model_is_no_detector(zoo):
    with pytest.raises(ValueError, match="holds a 'sam', expected 'grounding-dino'"):
        open_detector(zoo / "sam", zoo / "llm")
