#!/usr/bin/env bash
# GroundingDINO in transformers ends phrases at bert-base-uncased's ids, whatever the vocabulary of its config.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --no-compile --disable-pip-version-check \
  ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
  torch==2.13.0 transformers==5.24.0 scipy==1.17.1 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys

import torch
import transformers
from transformers import BertConfig, BertTokenizer, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

torch.manual_seed(0)
backbone = SwinConfig(
    image_size=32, patch_size=2, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=2,
    out_features=["stage1", "stage2", "stage3"],
)


def adjective_counts(vocabulary: list[str]) -> float:
    """How far the feature of "cat" moves when the word before it changes, with a tokenizer of this vocabulary."""
    with open("vocab.txt", "w") as file:
        file.write("\n".join(vocabulary))
    tokenizer = BertTokenizer("vocab.txt")
    text = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.3,
    )
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=4,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        encoder_n_points=2, decoder_n_points=2, num_feature_levels=3, max_text_len=16,
    )
    model, read = GroundingDinoForObjectDetection(config).eval(), []
    model.model.text_backbone.register_forward_hook(lambda _, __, output: read.append(output.last_hidden_state[0]))
    for phrase in ("red cat. dog.", "big cat. dog."):
        ids = tokenizer(phrase, return_tensors="pt").input_ids
        with torch.no_grad():
            model(pixel_values=torch.zeros(1, 3, 32, 32), input_ids=ids)
    place = ids[0].tolist().index(vocabulary.index("cat"))
    return float((read[0] - read[1])[place].abs().max())


small = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "red", "big", "cat", "dog"]
large = [f"[unused{number}]" for number in range(1030)]
for number, word in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}.items():
    large[number] = word
large += ["red", "big", "cat", "dog"]
own, bert = adjective_counts(small), adjective_counts(large)
print("transformers", transformers.__version__)
print('expected: "cat" is read together with the word before it, in any vocabulary that has [CLS], [SEP] and "."')
print(f"seen: its feature moves by {bert:.2f} where these have bert-base-uncased's ids,", end=" ")
print(f"by {own:.2f} in a vocabulary of {len(small)} words: no word sees another there, and nothing warns")
sys.exit(0 if bert > 0.1 and own == 0 else "changed: the separators follow the vocabulary")
EOF
