#!/usr/bin/env bash
# With attn_implementation="eager" GroundingDINO's phrases are not kept apart, and every score moves.
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
from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

torch.manual_seed(0)
backbone = SwinConfig(
    image_size=32, patch_size=2, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 2, 2], window_size=2,
    out_features=["stage1", "stage2", "stage3"],
)
text = BertConfig(
    vocab_size=2000, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    initializer_range=0.3,
)
config = GroundingDinoConfig(
    backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, num_queries=4,
    encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
    encoder_n_points=2, decoder_n_points=2, num_feature_levels=3, max_text_len=16,
)
GroundingDinoForObjectDetection(config).save_pretrained("detector")
first = torch.tensor([[101, 11, 12, 1012, 13, 14, 1012, 102]])  # [CLS] two words . two words . [SEP]
other = torch.tensor([[101, 11, 12, 1012, 21, 22, 1012, 102]])  # the second phrase is another
picture = torch.randn(1, 3, 32, 32)
features, scores = {}, {}
for kind, option in (("default", {}), ("eager", {"attn_implementation": "eager"})):
    model = GroundingDinoForObjectDetection.from_pretrained("detector", **option).eval()
    read = []
    model.model.text_backbone.register_forward_hook(lambda _, __, output: read.append(output.last_hidden_state[0]))
    with torch.no_grad():
        logits, _ = (model(pixel_values=picture, input_ids=ids).logits for ids in (first, other))
    features[kind], scores[kind] = read, logits[0, :, 1:4].sigmoid()
moved = {kind: float((read[0] - read[1])[1:4].abs().max()) for kind, read in features.items()}
apart = float((features["default"][0] - features["eager"][0]).abs().max())
score = float((scores["default"] - scores["eager"]).abs().max())
print("transformers", transformers.__version__)
print("expected: eager computes what the default does, and a phrase is read without its neighbours")
print("seen: when the second phrase changes, features of the first one move by", end=" ")
print(f"{moved['default']:.3f} by default, {moved['eager']:.3f} with eager;")
print(f"      features of one text differ by {apart:.2f} between the two, scores of the first phrase by {score:.3f}")
same = moved["default"] == 0 and moved["eager"] > 0.01 and apart > 0.1
sys.exit(0 if same else "changed: eager keeps phrases apart")
EOF
