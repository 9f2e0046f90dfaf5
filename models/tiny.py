"""Foundation models small enough for a CPU and a git repository, in transformers' own classes: for tests and the demo.

Each function returns a randomly initialised model; the trained ones lie in `models/zoo/tiny`. `SamModel` needs care
when it starts from random weights: its default initializer_range is 1e-10 (a dead encoder), its positional code is
drawn 32 times too wide at this size, and its mask decoder's layer_norm_eps is not the published one.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    CLIPVisionConfig,
    CLIPVisionModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    SamConfig,
    SamModel,
    VitDetConfig,
)

from ullava.configs.tokens import PAD, STAGE_ONE

ZOO = Path(__file__).parent / "zoo" / "tiny"
SIDE = 96  # pixels of the towers' square
BEGIN, END = "<s>", "</s>"
PIECES = r" ?[\p{L}\p{N}]+| ?###| ?[^\s\p{L}\p{N}]|\s+(?!\S)|\s"  # words with their space, marks one by one


def tiny_tokenizer(texts: Iterable[str], merges: int = 100) -> PreTrainedTokenizerFast:
    """Builds a byte-level tokenizer in which every word of `texts` is one token and any other text is spelt.

    Args:
        merges: learnt pieces for words that are not in `texts`.
    """
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words = Counter(piece for text in texts for piece, _ in split.pre_tokenize_str(text))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = split
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + merges, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator(texts, trainer)
    vocabulary = {word: i + 2 for word, i in learner.get_vocab().items()} | {BEGIN: 0, END: 1}
    for word in sorted(words):
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocabulary, learnt_merges(learner), ignore_merges=True))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (BEGIN, END, *STAGE_ONE)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def learnt_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """The merges of a trained byte-pair tokenizer, in their order."""
    import json

    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in merges]


def tiny_llm(vocabulary: int, *, width: int = 128, layers: int = 5) -> LlamaForCausalLM:
    """A LLaMA of about a million parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=width * 11 // 4,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=1024,
            initializer_range=0.07,  # 0.02 learns much more slowly at this width
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=1,
        )
    )


def tiny_clip(*, patch: int = 12, width: int = 128, layers: int = 4) -> CLIPVisionModel:
    """A CLIP tower that turns a picture into 8 x 8 patches (17 tokens at patch 24)."""
    return CLIPVisionModel(
        CLIPVisionConfig(
            image_size=SIDE,
            patch_size=patch,
            hidden_size=width,
            intermediate_size=3 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            projection_dim=width,
        )
    )


def tiny_sam(*, patch: int = 8, width: int = 96, layers: int = 4, channels: int = 64) -> SamModel:
    """A SAM that learns from random weights: masks of four times its grid's side."""
    vision = dict(
        image_size=SIDE, patch_size=patch, hidden_size=width, mlp_dim=3 * width, num_hidden_layers=layers,
        num_attention_heads=4, window_size=SIDE // patch // 2, global_attn_indexes=list(range(1, layers, 2)),
        output_channels=channels, num_pos_feats=channels // 2, initializer_range=0.02,
    )  # fmt: skip
    prompt = dict(image_size=SIDE, patch_size=patch, hidden_size=channels, mask_input_channels=8)
    decoder = dict(
        hidden_size=channels, mlp_dim=2 * channels, num_hidden_layers=2, num_attention_heads=4,
        iou_head_hidden_dim=channels, layer_norm_eps=1e-5,
    )  # fmt: skip
    sam = SamModel(
        SamConfig(
            vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder, initializer_range=0.02
        )
    )
    for module in sam.modules():  # PyTorch's own starts, under which it learns
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Embedding):
            module.reset_parameters()
    assert sam.vision_encoder.pos_embed is not None  # `use_abs_pos` is on by default
    with torch.no_grad():
        sam.vision_encoder.pos_embed.normal_(0, 0.1)
        sam.shared_image_embedding.positional_embedding.normal_()
        sam.prompt_encoder.shared_embedding.positional_embedding.copy_(sam.shared_image_embedding.positional_embedding)
    return sam


def tiny_word_pieces(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """A BERT tokenizer, lower case, in which each of `words` is one token and other Latin letters are spelt."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,'-"
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *sorted(set(words) - set(letters))]
    known += [*letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    ends = [(token, known.index(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip


def tiny_detector(tokenizer: PreTrainedTokenizerBase, *, width: int = 64) -> GroundingDinoForObjectDetection:
    """A GroundingDINO of two levels and twenty-four queries, on a backbone of the tiny SAM's shape."""
    shape: dict[str, Any] = dict(
        image_size=SIDE, pretrain_image_size=SIDE, patch_size=8, hidden_size=96, mlp_ratio=3, num_hidden_layers=4,
        num_attention_heads=4, window_size=6, window_block_indices=[0, 2], use_relative_position_embeddings=True,
        out_features=["stage4"],  # a keyword that transformers does not declare
    )  # fmt: skip
    text = BertConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    detector = GroundingDinoForObjectDetection(
        GroundingDinoConfig(
            backbone_config=VitDetConfig(**shape),
            text_config=text,
            d_model=width,
            num_queries=24,
            num_feature_levels=2,
            encoder_layers=2,
            decoder_layers=2,
            encoder_ffn_dim=2 * width,
            decoder_ffn_dim=2 * width,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            max_text_len=64,
            dropout=0.0,
            fusion_droppath=0.0,
        )
    )
    stops = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "?"])
    detector.model.special_tokens = torch.nn.Buffer(torch.tensor(stops), persistent=False)  # as transformers keeps it
    return detector
